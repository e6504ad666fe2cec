"""From the command to the ear, for observers: programs and people, one and six, any call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bridge.lab.asterisk import InstanceInfo
from bridge.lab.bench.calls import Exchange, Pair, open_exchange
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.turns import (
    TICK_S,
    TURNS,
    Ear,
    Heard,
    Speaker,
    StreamEar,
    Turn,
    heard_after,
)
from bridge.lab.hearing import TONES
from bridge.lab.hearing.lost import Missing
from bridge.model.participants import Participant, participant

OBSERVERS = (1, 6)
CALLS: Mapping[int, int] = {1: 4, 6: 2}
"""So many observers on each: how many calls at once. A line's timers keep their phases."""
ROUNDS: Mapping[int, int] = {1: 4, 6: 1}
"""So many observers: how often each of them takes all turns."""
_SETTLE_FRAMES: Final = 25
VOICES: Final = (
    "observer",
    "supervisor",
    "consult",
    "agent",
    "other_agent",
    "other_observer",
)
"""Tones of the observers of one call, of whom there are at most as many. Our agent is silent."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured: who observes, and whose call it is."""

    name: str
    phone: bool
    foreign: bool


KINDS: Final = (
    Kind("program, own call", phone=False, foreign=False),
    Kind("program, call of others", phone=False, foreign=True),
    Kind("phone, own call", phone=True, foreign=False),
    Kind("phone, call of others", phone=True, foreign=True),
)


@dataclass(frozen=True)
class Watched:
    """A call and its observers. ears: of everybody on it but our own agent."""

    pair: Pair
    speakers: dict[Participant, Speaker] = field(default_factory=dict)
    ears: dict[Participant, Ear] = field(default_factory=dict)
    joined_ms: list[float] = field(default_factory=list)
    """How long ``observe()`` took, from the answer of who has a phone."""


@dataclass
class Taken:
    """What was measured of one kind with one number of observers, in ms."""

    turns: dict[str, list[float]] = field(default_factory=lambda: {turn.name: [] for turn in TURNS})
    """To the last of the parties who newly hear."""
    by_observers: list[float] = field(default_factory=list)
    """Barges, to the last of the other observers."""
    wrong: list[str] = field(default_factory=list)
    """Turns that were not heard by exactly those whom they are for."""
    joined: list[float] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    """What the parties missed of each other, per call."""

    @property
    def every(self) -> list[float]:
        """All turns."""
        return [ms for values in self.turns.values() for ms in values]

    def note(self, call: Watched, name: Participant, turn: Turn, after: Heard) -> None:
        """Take what ``heard_after`` said of one turn of an observer."""
        others = call.speakers.keys() - {name} if turn.observers else set()
        # Who is on a phone speaks all the while: what was on its way is heard.
        newly = after.keys() - turn.former
        if newly != turn.listeners | others:
            self.wrong.append(f"{name}, {turn.name}: heard by {sorted(after)}")
            return
        self.turns[turn.name].append(max(after[party] for party in turn.listeners))
        if others:
            self.by_observers.append(max(after[other] for other in others))


async def measure(info: InstanceInfo) -> Chapter:
    """Let every kind of observer switch, speak, and be heard."""
    figures: list[Figure] = []
    async with open_exchange(info, with_client=True) as exchange:
        for kind in KINDS:
            for count in OBSERVERS:
                figures += _figures(kind, count, await take(exchange, kind, count))
    return Chapter(
        "Observers: from the command to the listener's ear",
        "To the first frame with the observer's voice, at the last party who newly hears him; who "
        "is on a phone speaks all the time.",
        tuple(figures),
    )


async def take(exchange: Exchange, kind: Kind, count: int) -> Taken:
    """Measure observers of one kind, ``count`` on each call."""
    dice = random.Random(1)
    taken = Taken()
    async with AsyncExitStack() as stack:
        calls = [
            await stack.enter_async_context(watched(exchange, kind, count))
            for _ in range(CALLS[count])
        ]
        await asyncio.gather(*(_rounds(call, ROUNDS[count], taken, dice) for call in calls))
        taken.joined += [ms for call in calls for ms in call.joined_ms]
        taken.missing += [call.pair.heard().missing() for call in calls]
    return taken


@asynccontextmanager
async def watched(exchange: Exchange, kind: Kind, count: int) -> AsyncIterator[Watched]:
    """Place a call and let observers join it; afterwards it has ended for all."""
    async with AsyncExitStack() as stack:
        pair = await _place(exchange, kind)
        stack.push_async_callback(exchange.end, pair)
        call = Watched(pair, ears=dict(pair.ears))
        for voice in VOICES[:count]:
            await join(exchange, call, stack, voice, phone=kind.phone)
        await pair.caller.wait_frames(len(pair.caller.frames) + _SETTLE_FRAMES)
        pair.clear()
        yield call


async def _place(exchange: Exchange, kind: Kind) -> Pair:
    if kind.foreign:
        return await exchange.place_foreign()
    placed = await exchange.place()
    await placed.call.spy()
    return placed


async def join(
    exchange: Exchange, call: Watched, stack: AsyncExitStack, voice: str, *, phone: bool
) -> None:
    """Let an observer with one of VOICES join a call, as a spy; he leaves with the stack."""
    name, hz = participant(voice), TONES[voice]
    observer, party, taken_s = await exchange.observe(call.pair, name, hz, phone=phone)
    stack.push_async_callback(observer.leave, cut=True)
    call.speakers[name] = Speaker(observer, hz, talks=phone)
    call.joined_ms.append(taken_s * 1000)
    if party is not None:
        call.ears[name] = party
        stack.push_async_callback(party.hangup)
    else:
        ear = StreamEar(observer.audio_stream())
        call.ears[name] = ear
        stack.push_async_callback(ear.close)


async def _rounds(call: Watched, rounds: int, taken: Taken, dice: random.Random) -> None:
    for _ in range(rounds):
        for name, speaker in call.speakers.items():
            for turn in TURNS:
                pause_s = dice.uniform(0, TICK_S)
                taken.note(call, name, turn, await heard_after(speaker, turn, call.ears, pause_s))
            await speaker.who.spy()


def _figures(kind: Kind, count: int, taken: Taken) -> list[Figure]:
    title = f"{kind.name}, {count} of them"
    figures = [
        Figure.of(title, "ms", taken.every),
        *(Figure.of(f"{title}: {name}", "ms", values) for name, values in taken.turns.items()),
        Figure.of(f"{title}: heard by others or by too few", "", [float(len(taken.wrong))]),
        Figure.of(f"{title}: joining", "ms", taken.joined),
        Figure.of(
            f"{title}: frames that the parties lost of each other, per call",
            "",
            [float(missing.lost) for missing in taken.missing],
        ),
    ]
    if taken.by_observers:
        barges = Figure.of(f"{title}: barge, at the last other observer", "ms", taken.by_observers)
        figures.insert(1, barges)
    return figures
