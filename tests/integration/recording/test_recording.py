"""What is in a recording of a call on a real Asterisk, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.lab.hearing import TONES, gaps
from tests.audio.machine import anew, whole
from tests.integration.recording.tape import (
    NEVER_DBFS,
    RATE,
    channels,
    described,
    ever,
    fresh,
    names_in,
    part,
    recorded,
    talk,
    voices,
    whispers,
    words,
)
from tests.support.pbx import Pbx

pytestmark = pytest.mark.asterisk


@anew
async def test_the_caller_is_left_and_the_callee_right(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    recording = await there.call.record(tmp_path)
    await recorded(recording, 2.0)
    await recording.stop()
    left, right = channels(recording)
    assert voices(left[3200:]) == {"caller"}
    assert voices(right[3200:]) == {"callee"}
    whole(gaps(left[3200:], RATE, TONES["caller"]) == [], "of the caller")
    whole(gaps(right[3200:], RATE, TONES["callee"]) == [], "of the callee")
    told = described(recording)
    assert told["call_id"] == there.call.call_id
    assert told["caller_number"] == "1999"
    assert told["end_cause"] == "stopped"
    assert told["parts"][0]["seconds"] == pytest.approx(len(left) / RATE, abs=0.001)
    await there.call.disconnect()


@anew
async def test_whoever_barges_is_on_the_right(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    recording = await there.call.record(tmp_path, coaching=True)
    await there.call.barge()
    await there.call.send_audio(words("agent", 3.0))
    when = await recorded(recording, 1.2)
    await there.call.spy(cut=True)
    coach = await there.client.observe(there.call, "coach")
    await coach.barge()
    await coach.send_audio(words("observer", 3.0))
    later = await recorded(recording, 1.2)
    await recording.stop()
    left, right = channels(recording)
    assert voices(part(left, when)) == voices(part(left, later)) == {"caller"}
    assert voices(part(right, when)) == {"callee", "agent"}
    assert voices(part(right, later)) == {"callee", "observer"}
    # What all hear is no coaching.
    for who in ("agent", "observer", "caller", "callee"):
        assert ever(whispers(recording), who) < NEVER_DBFS
    await there.call.disconnect(cut=True)


@pytest.mark.parametrize("to", ["callee", "caller"])
@anew
async def test_whispers_are_in_the_coaching_file_alone(pbx: Pbx, tmp_path: Path, to: str) -> None:
    there = await talk(pbx)
    recording = await there.call.record(tmp_path, coaching=True)
    await there.call.whisper(to=to)
    await there.call.send_audio(words("agent", 4.0))
    coach = await there.client.observe(there.call, "coach")
    await coach.whisper(to=to)
    await coach.send_audio(words("observer", 4.0))
    when = await recorded(recording, 1.2)
    await there.call.spy(cut=True)
    await coach.spy(cut=True)
    await recording.stop()
    left, right = channels(recording)
    for channel in (left, right):
        assert ever(channel, "agent") < NEVER_DBFS
        assert ever(channel, "observer") < NEVER_DBFS
    assert voices(part(whispers(recording), when)) == {"agent", "observer"}
    for who in ("caller", "callee"):
        assert ever(whispers(recording), who) < NEVER_DBFS
    assert len(whispers(recording)) == len(left)
    await there.call.disconnect(cut=True)


@anew
async def test_without_coaching_there_is_no_file_of_it(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    folder = fresh(tmp_path)
    recording = await there.call.record(folder)
    await recorded(recording, 0.2)
    await recording.stop()
    assert names_in(folder) == sorted([recording.path.name, recording.files[0].name])
    assert recording.coaching_files == ()
    await there.call.disconnect()
