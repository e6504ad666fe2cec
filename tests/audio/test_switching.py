"""How long a change of mode takes until it is heard, and what it costs the others: nothing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import cycle, islice

import numpy as np
import pytest

from bridge.lab.ears import DirectParty
from bridge.lab.hearing import TONES, first_heard, gaps
from bridge.sdk import ActiveCall
from tests.audio.listening import RATE, reading, talking_call, words
from tests.audio.machine import measured
from tests.support.pbx import SENT_DBFS, Pbx

pytestmark = pytest.mark.asterisk

HZ = TONES["agent"]
THRESHOLD = SENT_DBFS - 20
SWITCHES = 50
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


async def test_fifty_switches_are_heard_in_time_and_cost_nobody_a_frame(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, callee = await talking_call(pbx)
        ears = {"caller": caller, "callee": callee}
        dice = random.Random(50)  # noqa: S311 - the same pauses every time
        taken = []
        async with reading(
            direct.call.audio_stream("caller", max_seconds=60),
            direct.call.audio_stream("callee", max_seconds=60),
            direct.call.audio_stream(max_seconds=60),
        ) as readers:
            for turn in islice(cycle(TURNS), SWITCHES):
                pause = dice.uniform(0, FRAME_SECONDS)
                taken.append(await heard_after(direct.call, turn, ears, pause))
        median, p95 = np.percentile(taken, [50, 95])
        assert gaps(caller.pcm(), RATE, TONES["callee"]) == []
        assert gaps(callee.pcm(), RATE, TONES["caller"]) == []
        of_caller, of_callee, mix = readers
        assert gaps(of_caller.pcm, RATE, TONES["caller"]) == []
        assert gaps(of_callee.pcm, RATE, TONES["callee"]) == []
        assert gaps(mix.pcm, RATE, TONES["caller"]) == []
        assert gaps(mix.pcm, RATE, TONES["callee"]) == []
        assert median <= 30, f"{median:.1f} ms at the median, {p95:.1f} ms at p95"
        assert p95 <= 45, f"{median:.1f} ms at the median, {p95:.1f} ms at p95"

    await measured(pbx, measurement)
