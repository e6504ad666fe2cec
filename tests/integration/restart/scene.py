"""Calls that a program brought to a state and died in, and the program that comes after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bridge import ActiveCall, Client, Observer, events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.phones import Tone
from bridge.lab.waiting import until
from bridge.runtime.names import key_of
from tests.integration.restart.program import RATE, number_of
from tests.support.child import Child, child
from tests.support.conference import HZ, Conference, Pairs, everyone
from tests.support.pbx import SENT_DBFS, Pbx, until_true

PROGRAM: Final = "tests.integration.restart.program"

PICKED_UP: Final[dict[str, tuple[str, ...]]] = {
    "answered": (),
    "ringing": (),
    "talking": ("callee",),
    "whispering": ("callee",),
    "held": ("callee",),
    "conference": ("callee", "expert"),
    "adding": ("callee",),
    "apart": ("callee", "expert"),
    "taken_over": ("callee", "boss"),
    "replaced": ("callee", "boss"),
    "alone": ("boss",),
    "observed": ("callee", "boss"),
    "recorded": ("callee",),
    "parked": (),
    "transferring": (),
    "offered": ("human",),
    "consulting": ("human",),
    "aside": ("human",),
    "together": ("human",),
}
"""Who picks up in a state, in that order."""

TALK: Final[dict[str, Pairs]] = {
    "answered": set(),
    "ringing": set(),
    "talking": everyone("caller", "callee"),
    "whispering": everyone("caller", "callee"),
    "held": set(),
    "conference": everyone("caller", "callee") | {("expert", "caller"), ("expert", "callee")},
    "adding": everyone("caller", "callee"),
    "apart": everyone("caller", "callee"),
    "taken_over": {("callee", "caller")},
    "replaced": set(),
    "alone": set(),
    "observed": everyone("caller", "callee"),
    "recorded": everyone("caller", "callee"),
    "parked": set(),
    "transferring": set(),
    "offered": set(),
    "consulting": set(),
    "aside": set(),
    "together": everyone("caller", "human"),
}
"""Which parties hear which parties in a state."""

MUSIC: Final[dict[str, str]] = {
    "held": "caller",
    "parked": "caller",
    "transferring": "caller",
    "offered": "caller",
    "consulting": "caller",
    "aside": "human",
}
"""Who hears music in a state."""

RINGS: Final[dict[str, str]] = {"adding": "expert", "ringing": "callee", "transferring": "human"}
"""Who rings in a state, and does not pick up."""

_SILENT_DBFS: Final = -75.0
_FRAME_S: Final = 0.02


@dataclass
class Scene:
    """A call of the program that is to die."""

    pbx: Pbx
    state: str
    people: dict[str, DirectParty] = field(default_factory=dict)

    @property
    def conference(self) -> Conference:
        """The same people, to be listened to."""
        return Conference.heard_only(self.pbx, self.people)

    async def leg(self, name: str) -> str:
        """Return the id of the channel of somebody who rings."""
        return await _rung(self.pbx, name, {p.channel_id for p in self.people.values()})

    async def pick_up(self, name: str) -> DirectParty:
        """Answer somebody's phone, which rings."""
        voice = Tone(HZ[name], SENT_DBFS)
        leg = await self.leg(name)
        return await self.pbx.keep(DirectParty.answer(self.pbx.instance.info.ari, leg, tone=voice))

    def clear(self) -> None:
        """Forget what was heard."""
        for party in self.people.values():
            party.clear()

    async def lost(self) -> dict[tuple[str, str], int]:
        """Return who missed how many frames of whom, since ``clear()``."""
        missed = await self.conference.missed(*self.people)
        return {pair: frames for pair, frames in missed.items() if pair in TALK[self.state]}

    async def silence_s(self, name: str) -> float:
        """Return the longest silence that somebody heard since ``clear()``, in seconds."""
        party = self.people[name]
        await party.wait_frames(len(party.frames) + 10)
        return longest_silence_s(party)


def longest_silence_s(party: DirectParty) -> float:
    """Return for how long at most somebody heard nothing at a stretch; seconds.

    Frames that never came count as silence at one place. When they came does not count: none is
    lost on the way here, but this process may be late to read them.
    """
    longest = silent = 0
    for _, frame in party.frames:
        pcm = np.frombuffer(frame, dtype="<i2").astype(np.float64)
        dbfs = 20 * np.log10(max(1e-3, float(np.sqrt(2 * np.mean(pcm**2)))) / 32768)
        silent = silent + 1 if dbfs <= _SILENT_DBFS else 0
        longest = max(longest, silent)
    span_s = party.frames[-1][0] - party.frames[0][0]
    missing_s = span_s - (len(party.frames) - 1) * _FRAME_S
    return longest * _FRAME_S + max(0.0, missing_s)


async def stage(pbx: Pbx, program: Child, state: str, number: str = "1999") -> Scene:
    """Let the program bring a call to a state. number: the caller's."""
    ari = pbx.instance.info.ari
    voice = Tone(HZ["caller"], SENT_DBFS)
    known = set(await pbx.channels())
    caller = await pbx.keep(
        DirectParty.call(ari, number_of(state), tone=voice, caller_number=number)
    )
    scene = Scene(pbx, state, {"caller": caller})
    for name in PICKED_UP[state]:
        leg = await _rung(pbx, name, known)
        voice = Tone(HZ[name], SENT_DBFS)
        scene.people[name] = await pbx.keep(DirectParty.answer(ari, leg, tone=voice))
    if state in RINGS:
        await _rung(pbx, RINGS[state], known)
    await program.says(f"{state} {number}")
    if state == "replaced":
        await scene.people.pop("callee").wait_closed()
    return scene


async def _rung(pbx: Pbx, name: str, known: set[str]) -> str:
    found: list[str] = []

    async def look() -> bool:
        found[:] = [i for i in await pbx.channels() if f"-leg.{name}-" in i and i not in known]
        return bool(found)

    await until_true(look, f"{name} is rung")
    known.add(found[0])
    return found[0]


@dataclass
class Next:
    """The program that comes after, and what it was told."""

    client: Client
    calls: dict[str, ActiveCall] = field(default_factory=dict)
    """By the caller's number."""
    observers: list[Observer] = field(default_factory=list)
    incoming: list[ActiveCall] = field(default_factory=list)
    began_at: float = 0.0
    under_control_s: dict[str, float] = field(default_factory=dict)
    """How long after its start each call was told of."""

    async def resumed(self, count: int) -> None:
        """Wait until so many calls were told of."""
        await until(lambda: len(self.calls) == count, f"{count} calls are taken up")

    async def observed(self, count: int) -> None:
        """Wait until so many observers were told of."""
        await until(lambda: len(self.observers) == count, f"{count} observers are there again")

    def _call(self, call: ActiveCall) -> None:
        self.calls[call.caller_number] = call
        self.under_control_s[call.caller_number] = time.monotonic() - self.began_at


@asynccontextmanager
async def next_program(pbx: Pbx, *, listens: bool = True, **arguments: Any) -> AsyncIterator[Next]:
    """Start the next program, in this process; arguments as in Client.

    listens: it takes calls and observers of the one before.
    """
    settings: dict[str, Any] = {
        "sample_rate": RATE,
        "route": lambda _call: CALLEE_ENDPOINT,
        **arguments,
    }
    client = await pbx.client(**settings)
    after = Next(client)
    client.on(events.INCOMING_CALL, after.incoming.append)
    if listens:
        client.on(events.CALL_RESUMED, after._call)
        client.on(events.OBSERVER_RESUMED, after.observers.append)
    after.began_at = time.monotonic()
    async with client:
        yield after


@asynccontextmanager
async def killed(pbx: Pbx, state: str, *, hand_over: bool = False) -> AsyncIterator[Scene]:
    """Let a program bring a call to a state, and kill it.

    hand_over: it is not killed, but ends in order and leaves the call to the next one.
    """
    async with child(pbx, PROGRAM, *(["hand over"] if hand_over else [])) as program:
        scene = await stage(pbx, program, state)
        people = list(scene.people.values())
        await asyncio.gather(*(p.wait_frames(len(p.frames) + 15) for p in people))
        scene.clear()
        await asyncio.gather(*(p.wait_frames(25) for p in people))
        if hand_over:
            await program.terminate()
            await program.says("left")
        else:
            await program.die()
        await asyncio.gather(*(p.wait_frames(50) for p in people))
        yield scene


async def cleared(pbx: Pbx, scenes: Iterable[Scene]) -> None:
    """Let everybody hang up, and a program clear away what is left then."""
    people = [party for scene in scenes for party in scene.people.values()]
    await asyncio.gather(*(party.hangup() for party in people))
    async with next_program(pbx, listens=False):
        await pbx.empty()


async def keys_left(pbx: Pbx) -> list[str]:
    """Return the keys of all objects of ours that stand."""
    ids = [*await pbx.channels(), *await pbx.bridges()]
    return sorted(key for key in map(key_of, ids) if key is not None)
