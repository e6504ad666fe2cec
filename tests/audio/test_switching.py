"""How long a change of mode takes until it is heard, and what it costs the others: nothing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import chain, cycle, islice

import numpy as np
import pytest

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, first_heard, gaps
from bridge.sdk import ActiveCall
from tests.audio.listening import RATE, another_call, nothing_lost, reading, words
from tests.audio.machine import measured, whole
from tests.support.pbx import SENT_DBFS, DirectCall, Pbx

pytestmark = pytest.mark.asterisk

HZ = TONES["agent"]
THRESHOLD = SENT_DBFS - 20
CALLS, SWITCHES = 4, 25
FRAME_SECONDS = 0.020

Turn = tuple[Callable[[ActiveCall], Awaitable[None]], set[str]]

TURNS: tuple[Turn, ...] = (
    (lambda call: call.whisper(to="caller"), {"caller"}),
    (lambda call: call.whisper(to="callee"), {"callee"}),
    (lambda call: call.whisper(to=("caller", "callee")), {"caller", "callee"}),
    (ActiveCall.barge, {"caller", "callee"}),
)


async def heard_after(
    call: ActiveCall, turn: Turn, ears: dict[str, DirectParty], pause: float
) -> float:
    """Switch from spy, speak, and return ms from the command to the last listener's first frame."""
    command, listeners = turn
    await call.spy()
    # Spread over the 20 ms between two ticks of Asterisk, all of whose timers have phases of
    # their own.
    await asyncio.sleep(0.1 + pause)
    began = time.monotonic()
    await command(call)
    await call.send_audio(words(HZ, 0.06))
    await asyncio.gather(*(party.wait_frames(len(party.frames) + 8) for party in ears.values()))
    arrivals = {
        name: first_heard(
            [(at, frame) for at, frame in list(party.frames)[-20:] if at >= began],
            RATE,
            HZ,
            THRESHOLD,
        )
        for name, party in ears.items()
    }
    heard = {name: at for name, at in arrivals.items() if at is not None}
    assert set(heard) == listeners
    return (max(heard.values()) - began) * 1000


async def test_switches_are_heard_in_time_and_cost_nobody_a_frame(pbx: Pbx) -> None:
    """On four calls: a line's timer has a phase of its own, and keeps it as long as the line."""

    async def measurement(pbx: Pbx) -> None:
        program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
        calls = [await another_call(pbx, program) for _ in range(CALLS)]
        taken = await asyncio.gather(*(switch(direct, seed) for seed, direct in enumerate(calls)))
        median, p95 = np.percentile(list(chain.from_iterable(taken)), [50, 95])
        assert median <= 30, f"{median:.1f} ms at the median, {p95:.1f} ms at p95"
        assert p95 <= 45, f"{median:.1f} ms at the median, {p95:.1f} ms at p95"

    await measured(pbx, measurement)


async def switch(connected: tuple[DirectCall, DirectParty, DirectParty], seed: int) -> list[float]:
    """Change the mode often; nobody may lose a frame. Return when each change was heard, in ms."""
    direct, caller, callee = connected
    ears = {"caller": caller, "callee": callee}
    dice = random.Random(seed)
    for party in ears.values():
        party.clear()
    streams = (direct.call.audio_stream(who) for who in ("caller", "callee", None))
    async with reading(*streams) as (of_caller, of_callee, mix):
        taken = [
            await heard_after(direct.call, turn, ears, dice.uniform(0, FRAME_SECONDS))
            for turn in islice(cycle(TURNS), SWITCHES)
        ]
    whole(not gaps(caller.pcm(), RATE, TONES["callee"]), "a party missed a frame of the other")
    whole(not gaps(callee.pcm(), RATE, TONES["caller"]), "a party missed a frame of the other")
    for reader, voices in ((mix, ears), (of_caller, ["caller"]), (of_callee, ["callee"])):
        assert reader.stream.dropped_frames == 0
        for voice in voices:
            whole(nothing_lost(reader.pcm, RATE, TONES[voice]), (reader.stream.speaker, voice))
    return taken
