"""What the agent hears: both parties, each apart, to the frame, for as long as he is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import cycle, islice

import pytest

from bridge.lab.hearing import TONES as ALL_TONES
from bridge.lab.hearing import Pcm, gaps, pcm_from_bytes
from bridge.lab.hearing.steady import steady_levels
from bridge.lab.waiting import until
from bridge.sdk import ActiveCall
from tests.audio.listening import nothing_lost, reading, talking_call, words
from tests.audio.machine import measured, whole
from tests.support.pbx import SENT_DBFS, DirectCall, Pbx

pytestmark = pytest.mark.asterisk

TONES = {"caller": ALL_TONES["caller"], "callee": ALL_TONES["callee"]}
FRAMES_PER_SECOND = 50
ABSENT_DBFS = SENT_DBFS - 100

MODES: tuple[Callable[[ActiveCall], Awaitable[None]], ...] = (
    ActiveCall.spy,
    ActiveCall.whisper,
    ActiveCall.barge,
    lambda call: call.whisper(to="caller"),
    lambda call: call.whisper(to=("caller", "callee")),
)


def heard(pcm: Pcm, rate: int, *voices: str) -> dict[str, float]:
    """Return the level of each party's voice, dBFS, apart from where a frame came late.

    voices: who is to be heard all the time.
    """
    return steady_levels(pcm, rate, TONES, [TONES[voice] for voice in voices])


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
async def test_no_frame_is_lost_while_the_modes_change_fifty_times(pbx: Pbx, rate: int) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, callee = await talking_call(pbx, sample_rate=rate)
        call = direct.call
        streams = [call.audio_stream(who) for who in (None, "caller", "callee")]
        async with reading(*streams) as readers:
            mix, of_caller, of_callee = readers
            for number, change in enumerate(islice(cycle(MODES), 50)):
                await change(call)
                await call.send_audio(words(ALL_TONES["agent"], 0.05, rate))
                await mix.wait_frames(10 * (number + 1))
        assert len(mix.frames) >= 10 * FRAMES_PER_SECOND
        for reader in readers:
            assert abs(len(reader.frames) - len(mix.frames)) <= 3
            assert {len(frame) for frame in reader.frames} == {rate // 25}
            assert reader.stream.dropped_frames == 0
        # First: a frame that is missing is faintly heard in every tone.
        for reader, voices in ((mix, TONES), (of_caller, ["caller"]), (of_callee, ["callee"])):
            for voice in voices:
                whole(nothing_lost(reader.pcm, rate, TONES[voice]), (reader.stream.speaker, voice))
        whole(not gaps(caller.pcm(), 16000, TONES["callee"]), "a party missed a frame of the other")
        whole(not gaps(callee.pcm(), 16000, TONES["caller"]), "a party missed a frame of the other")
        present = pytest.approx(SENT_DBFS, abs=1.0)
        assert heard(mix.pcm, rate, *TONES) == {"caller": present, "callee": present}
        for reader, own, other in (
            (of_caller, "caller", "callee"),
            (of_callee, "callee", "caller"),
        ):
            apart = heard(reader.pcm, rate, own)
            assert apart[own] == present
            assert apart[other] <= ABSENT_DBFS

    await measured(pbx, measurement)


async def test_the_agent_does_not_hear_himself(pbx: Pbx) -> None:
    direct, _, _ = await talking_call(pbx)
    agent = ALL_TONES["agent"]
    async with reading(direct.call.audio_stream()) as [reader]:
        await direct.call.send_audio(words(agent, 1.5))
        await reader.wait_frames(75)
    found = steady_levels(reader.pcm, 16000, {"agent": agent}, list(TONES.values()))
    assert found["agent"] <= ABSENT_DBFS


async def test_a_slow_reader_loses_the_oldest_frames_and_nobody_else_any(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, _ = await talking_call(pbx)
        slow = direct.call.audio_stream("caller", max_seconds=0.5)
        async with reading(direct.call.audio_stream("caller")) as [quick]:
            await quick.wait_frames(150)
            kept = list(quick.frames)
            assert slow.dropped_frames == len(kept) - 25
            latest = [await anext(slow) for _ in range(25)]
            assert latest == kept[-25:]
            assert quick.stream.dropped_frames == 0
            # The call goes on, and so does the slow reader.
            assert await anext(slow) == (await newest(quick.frames, len(kept)))
            await direct.call.spy()
        whole(nothing_lost(quick.pcm, 16000, TONES["caller"]), "the agent missed a frame")
        whole(not gaps(caller.pcm(), 16000, TONES["callee"]), "a party missed a frame of the other")

    await measured(pbx, measurement)


async def newest(frames: list[bytes], index: int) -> bytes:
    await until(lambda: len(frames) > index, "one frame more")
    return frames[index]


@pytest.mark.parametrize("how", ["close", "disconnect", "the caller hangs up"])
async def test_streams_end_with_the_call_and_with_close(pbx: Pbx, how: str) -> None:
    direct, caller, _ = await talking_call(pbx)
    streams = [direct.call.audio_stream(who) for who in (None, "caller", "callee")]
    async with reading(*streams) as readers:
        for reader in readers:
            await reader.wait_frames(5)
        if how == "close":
            await direct.call.close()
        elif how == "disconnect":
            await direct.call.disconnect()
        else:
            await caller.hangup()
        for reader in readers:
            await reader.wait_ended()
            assert reader.stream.ended
    late = direct.call.audio_stream()
    assert [frame async for frame in late] == []


async def test_one_can_leave_the_loop_and_listen_again(pbx: Pbx) -> None:
    direct, _, _ = await talking_call(pbx)
    before = await ten_frames(direct)
    after = await ten_frames(direct)
    assert heard(before, 16000)["callee"] == pytest.approx(SENT_DBFS, abs=1.0)
    assert heard(after, 16000)["caller"] == pytest.approx(SENT_DBFS, abs=1.0)


async def ten_frames(direct: DirectCall) -> Pcm:
    frames: list[bytes] = []
    async for frame in direct.call.audio_stream():
        frames.append(frame)
        if len(frames) == 10:
            break
    return pcm_from_bytes(b"".join(frames))


async def test_a_stream_of_the_callee_may_be_opened_before_he_is_there(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    await direct.call.answer()
    async with reading(direct.call.audio_stream("callee"), direct.call.audio_stream()) as readers:
        of_callee, mix = readers
        await mix.wait_frames(10)
        assert of_callee.frames == []
        await direct.connect()
        await of_callee.wait_frames(30)
        await asyncio.gather(*(reader.wait_frames(60) for reader in readers))
    tail = of_callee.pcm[-16000 // 2 :]
    assert heard(tail, 16000)["callee"] == pytest.approx(SENT_DBFS, abs=1.0)
    assert heard(tail, 16000)["caller"] <= SENT_DBFS - 100
