"""From the command to the ear: how long a change of mode takes until it is heard."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.lab.asterisk import InstanceInfo
from bridge.lab.bench.calls import RATE, SENT_DBFS, Placed, open_exchange
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.hearing import TONES, first_heard, gaps, tone
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.sdk import ActiveCall

CALLS = 6
"""One after another, two at once: the timers of a call's lines keep their phases as long as it."""

ROUNDS = 6
_AT_ONCE = 2
_THRESHOLD = SENT_DBFS - 20
_TICK_S = 0.020


@dataclass(frozen=True, slots=True)
class Turn:
    """A change of mode and who hears the agent by it who did not before."""

    name: str
    before: Callable[[ActiveCall], Awaitable[None]]
    command: Callable[[ActiveCall], Awaitable[None]]
    listeners: frozenset[Participant]


TURNS = (
    Turn(
        "spy → whisper to the caller",
        ActiveCall.spy,
        lambda call: call.whisper(to="caller"),
        frozenset({CALLER}),
    ),
    Turn("spy → whisper to the callee", ActiveCall.spy, ActiveCall.whisper, frozenset({CALLEE})),
    Turn("spy → barge", ActiveCall.spy, ActiveCall.barge, frozenset({CALLER, CALLEE})),
    Turn(
        "whisper to the caller → to the callee",
        lambda call: call.whisper(to="caller"),
        ActiveCall.whisper,
        frozenset({CALLEE}),
    ),
)


async def measure(info: InstanceInfo) -> Chapter:
    """Switch, speak, and listen."""
    heard: dict[str, list[float]] = {turn.name: [] for turn in TURNS}
    lost: list[float] = []
    answered: list[float] = []
    connected: list[float] = []
    dice = random.Random(1)  # noqa: S311 - pauses, the same in every run
    async with open_exchange(info, with_client=True) as exchange:
        for _ in range(CALLS // _AT_ONCE):
            calls = [await exchange.place() for _ in range(_AT_ONCE)]
            answered += [placed.answered_ms for placed in calls]
            connected += [placed.connected_ms for placed in calls]
            await asyncio.gather(*(_rounds(placed, heard, dice) for placed in calls))
            lost += [float(_lost(placed)) for placed in calls]
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
    placed.caller.clear()
    placed.callee.clear()
    for _ in range(ROUNDS):
        for turn in TURNS:
            ms = await _switch(placed, turn, dice.uniform(0, _TICK_S))
            if ms is not None:
                heard[turn.name].append(ms)


async def _switch(placed: Placed, turn: Turn, pause: float) -> float | None:
    """Return ms until all listeners heard the agent, None if one did not."""
    call, loop = placed.call, asyncio.get_running_loop()
    await turn.before(call)
    # Everybody is quiet again, and the command comes at any time between two ticks of Asterisk.
    await asyncio.sleep(0.1 + pause)
    began = loop.time()
    await turn.command(call)
    speech = tone(TONES["agent"], SENT_DBFS, 0.06, RATE)
    await call.send_audio(speech.astype("<i2").tobytes())
    ears = [placed.ears[who] for who in turn.listeners]
    await asyncio.gather(*(ear.wait_frames(len(ear.frames) + 8) for ear in ears))
    arrivals = [
        first_heard(
            [(at, frame) for at, frame in list(ear.frames)[-20:] if at >= began],
            RATE,
            TONES["agent"],
            _THRESHOLD,
        )
        for ear in ears
    ]
    heard = [at for at in arrivals if at is not None]
    return (max(heard) - began) * 1000 if len(heard) == len(arrivals) else None


def _lost(placed: Placed) -> int:
    return len(gaps(placed.caller.pcm(), RATE, TONES["callee"])) + len(
        gaps(placed.callee.pcm(), RATE, TONES["caller"])
    )
