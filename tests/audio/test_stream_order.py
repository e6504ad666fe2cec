"""Audio is heard in the mode that it was sent in, whole, and by nobody else."""

from __future__ import annotations

import asyncio
import random
import time

import numpy as np
import pytest

from bridge import AudioMode, CallState, errors
from bridge.lab.ears import DirectParty
from bridge.lab.hearing import TONES, gaps
from bridge.lab.waiting import until
from bridge.sdk import ActiveCall
from tests.audio.listening import (
    FRAME,
    RATE,
    all_heard,
    loud_frames,
    quiet_call,
    sounding,
    without_silence,
    words,
)
from tests.audio.machine import measured
from tests.support.pbx import Pbx, mode_of, state_of

pytestmark = pytest.mark.asterisk

HZ = TONES["agent"]
SECOND = RATE * 2
"""Bytes."""


async def test_five_seconds_of_whisper_are_heard_whole_although_spy_follows_at_once(
    pbx: Pbx,
) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, callee = await quiet_call(pbx)
        said = words(HZ, 5)
        await direct.call.whisper()
        began = time.monotonic()
        await direct.call.send_audio(said)
        await direct.call.spy()
        assert 5.0 <= time.monotonic() - began <= 5.2
        assert mode_of(direct.call) == (AudioMode.SPY, set())
        await all_heard(caller, callee)
        assert without_silence(callee.pcm()) == said
        assert gaps(sounding(callee.pcm()), RATE, HZ) == []
        assert not caller.pcm().any()
        assert direct.call.dropped_audio.total == 0

    await measured(pbx, measurement)


PIECES = [240, 437, 559, 796, 973, 1196, 1559, 1729, 1987, 2197, 2604, 2873, 3082]
"""Hz: each piece of speech has its own."""

Route = str | tuple[str, ...]
ROUTES: list[Route] = [(), ("caller",), ("callee",), ("caller", "callee"), "barge"]


async def test_twenty_changes_as_fast_as_can_be_let_everybody_hear_his_pieces_alone(
    pbx: Pbx,
) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, callee = await quiet_call(pbx)
        dice = random.Random(20)
        expected = {"caller": b"", "callee": b""}
        dropped = 0
        for number in range(20):
            route = dice.choice(ROUTES)
            await turn(direct.call, route)
            said = words(PIECES[number % len(PIECES)], dice.randint(10, 30) / 100)
            await direct.call.send_audio(said)
            dropped += 0 if route else len(said)
            for party in expected:
                if route == "barge" or party in route:
                    expected[party] += said
        await direct.call.spy()
        await all_heard(caller, callee)
        assert without_silence(caller.pcm()) == expected["caller"]
        assert without_silence(callee.pcm()) == expected["callee"]
        assert direct.call.dropped_audio.silent == dropped > 0
        assert direct.call.dropped_audio.total == dropped

    await measured(pbx, measurement)


async def turn(call: ActiveCall, route: Route) -> None:
    if route == "barge":
        await call.barge()
    elif route:
        await call.whisper(to=route)
    else:
        await call.spy()


async def test_changes_that_are_asked_for_at_once_keep_their_order(pbx: Pbx) -> None:
    direct, caller, callee = await quiet_call(pbx)
    await direct.call.whisper(to="caller")
    await direct.call.send_audio(words(HZ, 0.3))
    changes = [
        asyncio.create_task(direct.call.whisper(to="callee")),
        asyncio.create_task(direct.call.spy()),
        asyncio.create_task(direct.call.barge()),
    ]
    await asyncio.gather(*changes)
    assert mode_of(direct.call) == (AudioMode.BARGE, set())
    await direct.call.send_audio(words(973, 0.3))
    await direct.call.spy()
    await all_heard(caller, callee)
    assert without_silence(caller.pcm()) == words(HZ, 0.3) + words(973, 0.3)
    assert without_silence(callee.pcm()) == words(973, 0.3)


async def test_clearing_cuts_within_two_frames_at_the_ear(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, callee = await quiet_call(pbx)
        said = words(HZ, 3)
        await direct.call.send_audio(said)
        await until(lambda: loud_frames(caller.frames) >= 30, "half a second was heard")
        direct.call.clear_send_audio_buffer()
        cut = time.monotonic()
        assert direct.call.get_send_audio_buffer_size() == 0
        await all_heard(caller, callee)
        for party in (caller, callee):
            assert heard_after(party, cut) <= 2
            heard = without_silence(party.pcm())
            assert said.startswith(heard)
            assert len(heard) + direct.call.dropped_audio.cleared == pytest.approx(
                len(said), abs=2 * FRAME
            )
        # It is no end: what is said next is heard.
        await direct.call.send_audio(words(973, 0.2))
        await direct.call.spy()
        await all_heard(callee)
        assert without_silence(callee.pcm()).endswith(words(973, 0.2))

    await measured(pbx, measurement)


def heard_after(party: DirectParty, moment: float) -> int:
    """Count frames with sound that came later; one on its way just then is not later."""
    return loud_frames([(at, frame) for at, frame in party.frames if at > moment + 0.001])


@pytest.mark.parametrize("mode", ["spy", "whisper to the caller"])
async def test_a_change_can_cut(pbx: Pbx, mode: str) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, callee = await quiet_call(pbx)
        await direct.call.whisper()
        said = words(HZ, 3)
        await direct.call.send_audio(said)
        await until(lambda: loud_frames(callee.frames) >= 20, "the callee hears the agent")
        cut = time.monotonic()
        if mode == "spy":
            await direct.call.spy(cut=True)
        else:
            await direct.call.whisper(to="caller", cut=True)
        assert time.monotonic() - cut < 0.1
        await all_heard(caller, callee)
        assert heard_after(callee, cut) <= 2
        assert said.startswith(without_silence(callee.pcm()))
        assert not caller.pcm().any()
        assert direct.call.dropped_audio.cleared >= 2 * SECOND

    await measured(pbx, measurement)


async def test_what_is_said_in_spy_mode_is_dropped_and_counted(pbx: Pbx) -> None:
    direct, caller, callee = await quiet_call(pbx)
    await direct.call.spy()
    await direct.call.send_audio(words(HZ, 1))
    assert direct.call.get_send_audio_buffer_size() == 0
    assert direct.call.dropped_audio.silent == SECOND
    await direct.call.barge()
    await all_heard(caller, callee)
    assert not caller.pcm().any()
    assert not callee.pcm().any()


@pytest.mark.parametrize("leave", [ActiveCall.close, ActiveCall.disconnect])
async def test_the_last_word_is_heard_before_the_agent_leaves(pbx: Pbx, leave: object) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, callee = await quiet_call(pbx)
        said = words(HZ, 1)
        await direct.call.send_audio(said)
        if leave is ActiveCall.close:
            await direct.call.close()
            await all_heard(caller, callee)
        else:
            await direct.call.disconnect()
            await caller.wait_closed()
            await callee.wait_closed()
        assert state_of(direct.call) is CallState.DISCONNECTED
        for party in (caller, callee):
            assert without_silence(party.pcm()) == said
        assert direct.call.dropped_audio.total == 0

    await measured(pbx, measurement)


async def test_the_last_word_is_heard_by_a_caller_who_is_alone(pbx: Pbx) -> None:
    direct = await pbx.direct_call(caller=None)
    await direct.call.answer()
    await direct.call.send_audio(words(HZ, 1))
    await direct.call.disconnect()
    await direct.caller.wait_closed()
    assert without_silence(direct.caller.pcm()) == words(HZ, 1)


async def test_the_buffer_empties_in_real_time(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, _, callee = await quiet_call(pbx)
        await direct.call.send_audio(words(HZ, 2))
        began = time.monotonic()
        sizes = [(0.0, direct.call.get_send_audio_buffer_size())]
        assert sizes[0][1] == pytest.approx(2 * SECOND, abs=FRAME)
        while sizes[-1][1]:
            seen = len(callee.frames)
            await callee.wait_frames(seen + 5)
            sizes.append((time.monotonic() - began, direct.call.get_send_audio_buffer_size()))
        assert len(sizes) > 15
        assert sizes[-1][0] == pytest.approx(2.05, abs=0.1)
        for after, size in sizes[:-1]:
            assert size / SECOND == pytest.approx(2 - after, abs=0.05)

    await measured(pbx, measurement)


async def test_a_full_buffer_takes_nothing_and_plays_on(pbx: Pbx) -> None:
    direct, _, callee = await quiet_call(pbx, send_buffer_seconds=1.0)
    said = words(HZ, 0.9)
    await direct.call.send_audio(said)
    before = direct.call.get_send_audio_buffer_size()
    with pytest.raises(errors.BufferFullError):
        await direct.call.send_audio(words(973, 0.5))
    assert direct.call.get_send_audio_buffer_size() == pytest.approx(before, abs=SECOND // 50)
    await direct.call.spy()
    await all_heard(callee)
    assert without_silence(callee.pcm()) == said
    assert np.abs(callee.pcm()).max() < 7000
