"""A recording through pauses, parts, holds and ends of a call on a real Asterisk."""

from __future__ import annotations

import asyncio
import errno
import time
from pathlib import Path

import pytest

from bridge import ActiveCall, AudioMode, CallState, errors, events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, gaps
from bridge.lab.waiting import until
from bridge.media.recording import WavFile
from bridge.runtime.recorder import RecordingState
from bridge.sdk.recording import Pauses, Recording
from tests.audio.machine import anew, whole
from tests.integration.recording.tape import (
    NEVER_DBFS,
    RATE,
    channels,
    described,
    ever,
    fresh,
    is_silent,
    names_in,
    part,
    recorded,
    talk,
    voices,
    words,
)
from tests.support.pbx import CALLER_TONE, Pbx, state_of

pytestmark = pytest.mark.asterisk


def state(recording: Recording) -> RecordingState:
    """Return how it stands; a property that is compared twice would be taken as constant."""
    return recording.state


@pytest.mark.parametrize("pauses", ["silence", "cut"])
@anew
async def test_nothing_of_a_pause_is_recorded(pbx: Pbx, tmp_path: Path, pauses: Pauses) -> None:
    there = await talk(pbx)
    began = time.monotonic()
    recording = await there.call.record(tmp_path, pauses=pauses, coaching=True)
    await recorded(recording, 0.6)
    there.caller.voice = there.callee.voice = None
    # What is said during the pause is said by nobody else, and at no other time.
    await there.caller.wait_seconds(0.6)
    await recording.pause()
    coach = await there.client.observe(there.call, "coach")
    await coach.whisper(to="callee")
    await coach.send_audio(words("observer", 1.0))
    await there.call.barge()
    await there.call.send_audio(words("agent", 1.0))
    there.caller.voice = CALLER_TONE
    await there.callee.wait_seconds(0.8)
    await there.call.spy(cut=True)
    await coach.spy(cut=True)
    there.caller.voice = None
    # What the caller says is sent 0.4 s ahead.
    await there.callee.wait_seconds(0.7)
    await recording.resume()
    await recorded(recording, 0.6)
    await recording.stop()
    took = time.monotonic() - began
    left, right = channels(recording)
    told = described(recording)
    (pause,) = told["pauses"]
    begin, end = pause["from_seconds"], pause["to_seconds"]
    assert end - begin > 1.4
    assert is_silent(part(left, (begin - 0.1, len(left) / RATE)))
    assert is_silent(part(right, (begin - 0.1, len(right) / RATE)))
    assert ever(left, "caller") > -20
    for who in ("agent", "observer"):
        assert ever(right, who) < NEVER_DBFS
    expected = took if pauses == "silence" else took - (end - begin)
    assert len(left) / RATE == pytest.approx(expected, abs=0.3)
    await there.call.disconnect(cut=True)


@anew
async def test_parts_follow_each_other_without_a_gap(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    recording = await there.call.record(tmp_path, max_minutes=0.5 / 60, coaching=True)
    await recorded(recording, 2.2)
    await recording.stop()
    assert len(recording.files) >= 5
    left, right = channels(recording)
    whole(gaps(left[1600:], RATE, TONES["caller"]) == [], "of the caller")
    whole(gaps(right[1600:], RATE, TONES["callee"]) == [], "of the callee")
    told = described(recording)["parts"]
    offsets = [p["offset_seconds"] for p in told]
    assert offsets == pytest.approx([n * 0.5 for n in range(len(told))], abs=0.002)
    assert [p["seconds"] for p in told[:-1]] == [0.5] * (len(told) - 1)
    assert len(recording.coaching_files) == len(recording.files)
    await there.call.disconnect()


@anew
async def test_a_caller_on_hold_is_not_recorded_and_hears_nothing_that_is(
    pbx: Pbx, tmp_path: Path
) -> None:
    there = await talk(pbx)
    recording = await there.call.record(tmp_path)
    await recorded(recording, 0.4)
    await there.call.hold("caller")
    await there.call.barge()
    await there.call.send_audio(words("agent", 60.0))
    private = await recorded(recording, 1.2)
    await there.call.spy(cut=True)
    await there.call.unhold("caller")
    again = await recorded(recording, 0.8)
    await there.call.hold("callee")
    alone = await recorded(recording, 0.8)
    await recording.stop()
    left, right = channels(recording)
    # Neither his music nor what the others say without him.
    assert is_silent(part(left, private))
    assert is_silent(part(right, private))
    assert ever(right, "agent") < NEVER_DBFS
    assert voices(part(left, again)) == {"caller"}
    assert voices(part(right, again)) == {"callee"}
    assert voices(part(left, alone)) == {"caller"}
    assert is_silent(part(right, alone))
    await there.call.disconnect(cut=True)


@anew
async def test_it_ends_with_the_call(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    ended: list[tuple[str, RecordingState]] = []

    @there.client.on(events.RECORDING_ENDED)
    def note(call: ActiveCall, recording: Recording) -> None:
        ended.append((call.call_id, state(recording)))

    recording = await there.call.record(tmp_path)
    await recorded(recording, 0.5)
    await there.caller.hangup()
    async with asyncio.timeout(3):
        assert await recording.wait_ended() is RecordingState.ENDED
    assert recording.ended_by == described(recording)["end_cause"] == "call_ended"
    await until(lambda: ended, "it is told")
    assert ended == [(there.call.call_id, RecordingState.ENDED)]
    left, right = channels(recording)
    assert voices(left[3200:11200]) == {"caller"}
    assert voices(right[3200:11200]) == {"callee"}
    with pytest.raises(errors.CallClosedError):
        await recording.pause()
    await recording.stop()


@anew
async def test_it_goes_on_when_the_agent_has_left(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    async with await there.call.record(tmp_path) as recording:
        await there.call.close()
        when = await recorded(recording, 1.0)
    left, right = channels(recording)
    assert voices(part(left, when)) == {"caller"}
    assert voices(part(right, when)) == {"callee"}
    await there.caller.hangup()


@anew
async def test_a_program_that_leaves_closes_its_files(pbx: Pbx, tmp_path: Path) -> None:
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
    call = await program.next_call()
    await call.answer()
    recording = await call.record(tmp_path)
    await recorded(recording, 0.5)
    await program.client.disconnect()
    assert state(recording) is RecordingState.ENDED
    told = described(recording)
    assert told["ended_at"] is not None
    left, _right = channels(recording)
    assert voices(left[3200:11200]) == {"caller"}
    await caller.wait_closed()


@anew
async def test_the_agent_alone_with_the_caller(pbx: Pbx, tmp_path: Path) -> None:
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
    call = await program.next_call()
    with pytest.raises(errors.InvalidStateError):
        await call.record(tmp_path)
    await call.answer()
    recording = await call.record(tmp_path)
    await call.send_audio(words("agent", 5.0))
    when = await recorded(recording, 1.0)
    await recording.stop()
    left, right = channels(recording)
    assert voices(part(left, when)) == {"caller"}
    assert voices(part(right, when)) == {"agent"}
    await call.disconnect(cut=True)
    with pytest.raises(errors.CallClosedError):
        await call.record(tmp_path)


@anew
async def test_all_are_told_before_it_begins(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    recording = await there.call.record(tmp_path, announce=words("supervisor", 1.0))
    await recorded(recording, 0.5)
    await recording.stop()
    left, right = channels(recording)
    for channel in (left, right):
        assert ever(channel, "supervisor") < NEVER_DBFS
    for party in (there.caller, there.callee):
        assert ever(party.pcm(), "supervisor") > -18
    assert described(recording)["announced"] is True
    assert there.call.mode is AudioMode.SPY
    await there.call.disconnect()


async def test_who_is_on_hold_is_told_too(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    await there.call.hold("callee")
    there.callee.clear()
    recording = await there.call.record(tmp_path, announce=words("supervisor", 1.0))
    assert ever(there.callee.pcm(), "supervisor") > -18
    await recording.stop()
    with pytest.raises(errors.BadArgumentError):
        await there.call.record(tmp_path, announce="sound:no-such-sound")
    again = await there.call.record(tmp_path, announce="sound:beep")
    assert described(again)["announced"] is True
    await again.stop()
    # Of the one that did not begin nothing is left.
    assert len(names_in(tmp_path)) == 4
    await there.call.disconnect()


async def test_asterisk_dies_and_the_recording_is_whole(own_pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(own_pbx)
    recording = await there.call.record(tmp_path)
    await recorded(recording, 0.6)
    await asyncio.to_thread(own_pbx.instance.kill)
    async with asyncio.timeout(5):
        assert await recording.wait_ended() is RecordingState.ENDED
    assert described(recording)["end_cause"] == "server_lost"
    left, _right = channels(recording)
    assert voices(left[3200:9600]) == {"caller"}


@anew
async def test_a_disk_that_is_full_ends_the_recording_and_not_the_call(
    pbx: Pbx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await talk(pbx)
    failed: list[str] = []

    @there.call.on(events.RECORDING_FAILED)
    def note(_call: ActiveCall, recording: Recording) -> None:
        failed.append(recording.failure)

    recording = await there.call.record(tmp_path)
    await recorded(recording, 0.5)

    def full(_file: WavFile, _samples: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(WavFile, "write", full)
    async with asyncio.timeout(5):
        assert await recording.wait_ended() is RecordingState.FAILED
    await until(lambda: failed, "it is told")
    assert len(failed) == 1
    assert "No space left" in failed[0]
    assert described(recording)["end_cause"] == "failed"
    left, _right = channels(recording)
    assert voices(left[3200:9600]) == {"caller"}
    there.caller.clear()
    await there.caller.wait_frames(20)
    assert voices(there.caller.pcm()[:6400]) == {"callee"}
    assert state_of(there.call) is CallState.CONNECTED
    await there.call.disconnect()


async def test_a_place_that_cannot_be_written_to_is_refused(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    await asyncio.to_thread((tmp_path / "file").write_text, "")
    before = set(await pbx.channels())
    with pytest.raises(errors.ConfigurationError, match="cannot be recorded to"):
        await there.call.record(tmp_path / "file" / "folder")
    await asyncio.to_thread((tmp_path / "taken.wav").write_text, "")
    with pytest.raises(errors.ConfigurationError, match="choose another name"):
        await there.call.record(tmp_path / "taken.wav")
    assert names_in(tmp_path) == ["file", "taken.wav"]
    assert set(await pbx.channels()) == before
    await there.call.disconnect()


@anew
async def test_two_recordings_of_a_call_do_not_hear_each_other(
    pbx: Pbx, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = await talk(pbx)
    named = fresh(tmp_path) / "named.wav"
    one = await there.call.record(tmp_path)
    other = await there.call.record(named)
    await recorded(other, 1.0)
    await one.stop()
    await other.stop()
    for recording in (one, other):
        left, right = channels(recording)
        assert voices(left[3200:16000]) == {"caller"}
        assert voices(right[3200:16000]) == {"callee"}
    assert other.files == (named,)
    # That one stops does not keep the lines among the others from changing.
    assert [r for r in caplog.records if r.name == "bridge.runtime.gallery"] == []
    await there.call.disconnect()
