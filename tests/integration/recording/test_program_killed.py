"""A program that records is killed: what is left of the recording, and how the next one goes on."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bridge import ActiveCall, events
from bridge.lab.ears import DirectParty
from bridge.lab.hearing import TONES, gaps
from bridge.lab.waiting import until
from bridge.runtime.recorder import RecordingState
from bridge.sdk.recording import Recording
from tests.audio.machine import anew, whole
from tests.integration.recording.tape import (
    RATE,
    described,
    fresh,
    is_silent,
    names_in,
    part,
    pcm_of,
    recorded,
    talk,
    voices,
)
from tests.support.child import child
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, Pbx, until_true

pytestmark = pytest.mark.asterisk

PROGRAM = "tests.integration.recording.program"
MOST_LOST_S = 1.0


async def killed(pbx: Pbx, folder: Path, *, paused: bool) -> tuple[DirectParty, float]:
    """Let a program record a call and die; return the caller, and when it was killed."""
    arguments = [str(folder), *(["paused"] if paused else [])]
    async with child(pbx, PROGRAM, *arguments) as program:
        ari = pbx.instance.info.ari
        caller = await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))
        legs: list[str] = []

        async def is_rung() -> bool:
            legs[:] = [i for i in await pbx.channels() if "leg.callee" in i]
            return bool(legs)

        await until_true(is_rung, "the callee is rung")
        await pbx.keep(DirectParty.answer(ari, legs[0], tone=CALLEE_TONE))
        await program.says("paused" if paused else "recording")
        await program.die()
    return caller, time.time()


def sidecar_in(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the one JSON file, and what it says."""
    (path,) = folder.glob("*.json")
    return path, json.loads(path.read_text(encoding="utf-8"))


async def taken_up(pbx: Pbx) -> Recording:
    """Let the next program go on."""
    program = await pbx.program()
    resumed: asyncio.Queue[ActiveCall] = asyncio.Queue()
    program.client.on(events.CALL_RESUMED, resumed.put_nowait)
    async with asyncio.timeout(3):
        call = await resumed.get()
    await until(lambda: call.recordings, "its recording goes on")
    (recording,) = call.recordings
    return recording


def state(recording: Recording) -> RecordingState:
    """Return how it stands; a property that is compared twice would be taken as constant."""
    return recording.state


@anew
async def test_a_killed_program_leaves_files_that_play(pbx: Pbx, tmp_path: Path) -> None:
    caller, killed_at = await killed(pbx, folder := fresh(tmp_path), paused=False)
    _, told = sidecar_in(folder)
    assert told["ended_at"] is None
    assert not any(name.endswith(".new") for name in names_in(folder))
    wav, coaching = (folder / told["parts"][0][key] for key in ("file", "coaching"))
    info = soundfile.info(wav)
    assert info.samplerate == RATE
    assert info.channels == 2
    both = pcm_of([wav])
    lost = killed_at - told["began_at"] - len(both) / RATE
    assert 0 <= lost <= MOST_LOST_S
    left, right = both[1600:, 0].copy(), both[1600:, 1].copy()
    assert voices(left) == {"caller"}
    assert voices(right) == {"callee"}
    whole(gaps(left, RATE, TONES["caller"]) == [], "of the caller")
    whole(gaps(right, RATE, TONES["callee"]) == [], "of the callee")
    # Every byte of sound is announced by the header.
    assert (await asyncio.to_thread(wav.stat)).st_size == 44 + 4 * info.frames
    assert soundfile.info(coaching).frames == info.frames
    # Whatever it left in Asterisk, the next program clears away.
    await pbx.program()
    await caller.hangup()


@anew
async def test_the_next_program_goes_on(pbx: Pbx, tmp_path: Path) -> None:
    caller, killed_at = await killed(pbx, folder := fresh(tmp_path), paused=False)
    _, before = sidecar_in(folder)
    recording = await taken_up(pbx)
    await recorded(recording, 1.0)
    await recording.stop()
    told = described(recording)
    assert [part["file"] for part in told["parts"]] == [path.name for path in recording.files]
    first, second = told["parts"]
    assert first["seconds"] == pytest.approx(len(pcm_of(recording.files[:1])) / RATE, abs=0.001)
    assert second["offset_seconds"] >= killed_at - before["began_at"]
    assert told["end_cause"] == "stopped"
    assert told["recording_id"] == before["recording_id"]
    both = pcm_of(recording.files[1:])
    assert voices(both[3200:, 0].copy()) == {"caller"}
    assert voices(both[3200:, 1].copy()) == {"callee"}
    assert len(recording.coaching_files) == 2
    await caller.hangup()


@anew
async def test_a_pause_outlives_the_program(pbx: Pbx, tmp_path: Path) -> None:
    caller, _ = await killed(pbx, fresh(tmp_path), paused=True)
    recording = await taken_up(pbx)
    assert state(recording) is RecordingState.PAUSED
    begin = recording.seconds
    await caller.wait_seconds(0.8)
    await recording.resume()
    resumed_at = described(recording)["pauses"][0]["to_seconds"]
    await recorded(recording, 0.8)
    await recording.stop()
    both = pcm_of(recording.files[1:])
    quiet = (0.0, resumed_at - begin - 0.02)
    assert is_silent(part(both, quiet))
    heard = part(both, (quiet[1] + 0.1, len(both) / RATE - 0.1))
    assert voices(heard[:, 0].copy()) == {"caller"}
    assert voices(heard[:, 1].copy()) == {"callee"}
    await caller.hangup()


@anew
async def test_a_program_that_hands_over_closes_its_files_and_the_next_one_goes_on(
    pbx: Pbx, tmp_path: Path
) -> None:
    there = await talk(pbx)
    first = await there.call.record(tmp_path)
    await recorded(first, 0.6)
    await there.client.hand_over()
    assert state(first) is RecordingState.ENDED
    assert described(first)["end_cause"] == "program_left"
    recording = await taken_up(pbx)
    assert described(recording)["end_cause"] is None
    await recorded(recording, 0.6)
    await recording.stop()
    assert recording.path == first.path
    assert described(recording)["end_cause"] == "stopped"
    for path in recording.files:
        both = pcm_of([path])
        assert voices(both[3200:11200, 0].copy()) == {"caller"}
        assert voices(both[3200:11200, 1].copy()) == {"callee"}
    assert len(recording.files) == 2
    await there.caller.hangup()
