"""From the command to the ear: how long an agent's change of mode takes until it is heard."""

from __future__ import annotations

import random

from bridge.lab.asterisk import InstanceInfo
from bridge.lab.bench.calls import Placed, open_exchange
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.turns import TICK_S, TURNS, Speaker, heard_after
from bridge.lab.hearing import TONES
from bridge.lab.together import together

CALLS = 6
"""One after another, two at once: the timers of a call's lines keep their phases as long as it."""

ROUNDS = 6
_AT_ONCE = 2


async def measure(info: InstanceInfo) -> Chapter:
    """Switch, speak, and listen."""
    heard: dict[str, list[float]] = {turn.name: [] for turn in TURNS}
    lost: list[float] = []
    answered: list[float] = []
    connected: list[float] = []
    dice = random.Random(1)
    async with open_exchange(info, with_client=True) as exchange:
        for _ in range(CALLS // _AT_ONCE):
            calls = [await exchange.place() for _ in range(_AT_ONCE)]
            answered += [placed.answered_ms for placed in calls]
            connected += [placed.connected_ms for placed in calls]
            try:
                await together(*(_rounds(placed, heard, dice) for placed in calls))
                lost += [float(placed.heard().missing().lost) for placed in calls]
            finally:
                for placed in calls:
                    await exchange.end(placed)
    everything = [ms for values in heard.values() for ms in values]
    return Chapter(
        "From the command to the listener's ear",
        "To the first frame with the agent's voice, at the last of those who newly hear him.",
        (
            Figure.of("all switches", "ms", everything),
            *(Figure.of(name, "ms", values) for name, values in heard.items()),
            Figure.of("frames that the parties lost of each other, per call", "", lost),
            Figure.of("answer()", "ms", answered),
            Figure.of("connect(), after the callee's audio began", "ms", connected),
        ),
    )


async def _rounds(placed: Placed, heard: dict[str, list[float]], dice: random.Random) -> None:
    await placed.caller.wait_frames(25)
    placed.clear()
    speaker = Speaker(placed.call, TONES["agent"])
    for _ in range(ROUNDS):
        for turn in TURNS:
            after = await heard_after(speaker, turn, placed.ears, dice.uniform(0, TICK_S))
            if after.keys() >= turn.listeners:
                heard[turn.name].append(max(after[who] for who in turn.listeners))
