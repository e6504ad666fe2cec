"""Scripts on the fake server: its people, and who hears whom there, read from its objects."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from bridge.lab.fake_ari import FakeAri, FakeCall, FakeChannel, Kind, Received
from bridge.model.participants import Participant
from bridge.runtime.names import key_of
from bridge.sdk import ActiveCall, Client, Observer, events
from bridge.topology.audibility import audibility
from bridge.topology.objects import Direction, Key, Media, Snoop, Topology
from tests.support.script import (
    CALLER,
    OBSERVERS,
    OTHER_CALLEE,
    OTHER_CALLER,
    Add,
    Cells,
    Drop,
    HangUp,
    Hold,
    Mute,
    Scene,
    Step,
    on_the_way,
    told,
)
from tests.support.stage import Stage, is_possible, other_call

NUMBERS = {name: str(1005 + n) for n, name in enumerate(OBSERVERS[:-1])} | {"fay": "1003"}
"""Whose phone has which number."""
WRONG_WITHIN_S = 60.0
"""By the loop's time: what failed again and again is tried again after half a minute."""


class FakeCast:
    """People whose phones are the fake's: they pick up at once."""

    def __init__(self, fake: FakeAri, caller: FakeChannel, other: FakeCall) -> None:
        self._fake = fake
        assert other.callee is not None
        self._known = {
            CALLER: caller.id,
            OTHER_CALLER: other.caller.id,
            OTHER_CALLEE: other.callee.id,
        }

    def endpoint(self, name: str) -> str:
        """See Cast."""
        return f"PJSIP/{NUMBERS.get(name, '1004')}"

    async def pick_up(self, name: str) -> None:
        """See Cast."""

    async def hang_up(self, name: str) -> None:
        """See Cast."""
        self._fake.channel_hangs_up(self.channel(name))

    async def came(self, name: str, observer: Observer, *, phone: bool) -> None:
        """See Cast."""

    async def gone(self, name: str) -> None:
        """See Cast."""

    def channel(self, name: str) -> str:
        """Return the id of somebody's channel."""
        known = self._known.get(name)
        return known or next(i for i in self._fake.world.channels if key_of(i) == f"leg.{name}")

    def name(self, channel: FakeChannel) -> str | None:
        """Return whose channel it is; None when it is nobody's."""
        known = next((name for name, i in self._known.items() if i == channel.id), None)
        key = key_of(channel.id) or ""
        return known or (key.removeprefix("leg.") if key.startswith("leg.") else None)


class Names(Protocol):
    """Knows people by their channels."""

    def name(self, channel: FakeChannel) -> str | None:
        """Return whose channel it is; None when it is nobody's."""


def standing(fake: FakeAri, cast: Names) -> Topology:
    """Return the fake's objects, as far as they decide who hears whom."""
    channels = fake.world.channels
    legs: dict[Key, Participant] = {}
    media: dict[Key, Media] = {}
    snoops: dict[Key, Snoop] = {}
    for channel in channels.values():
        key, gate_open = Key(channel.id), "out" not in channel.muted
        if channel.kind is Kind.SNOOP:
            spy, whisper = Direction(channel.spy), Direction(channel.whisper)
            snoops[key] = Snoop(Key(channel.target or ""), spy, whisper, gate_open)
        elif channel.kind is Kind.MEDIA:
            # One without a far end is in no bridge: it only ends with its program.
            owner, dot, _ = (key_of(channel.id) or "").removeprefix("media.").partition(".")
            if dot:
                media[key] = Media(Participant(owner), gate_open)
        elif channel.state == "Up" and (name := cast.name(channel)):
            legs[key] = Participant(name)
    return Topology(
        legs=legs,
        bridges={
            Key(b.id): frozenset(map(Key, b.channels)) & {*legs, *media, *snoops}
            for b in fake.world.bridges.values()
            if "holding" not in b.kind
        },
        snoops=snoops,
        media=media,
        muted=frozenset(key for key in legs if "in" in channels[key].muted),
    )


def heard(fake: FakeAri, cast: Names) -> Cells:
    """Return who hears whom now. Fails if a voice is heard twice."""
    cells = audibility(standing(fake, cast))
    doubled = {cell: ways for cell, ways in cells.items() if ways > 1}
    assert not doubled, f"heard more than once: {doubled}"
    return frozenset(cells)


class Doorman(deque[Received]):
    """Looks who hears whom whenever the fake is asked for something."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__(maxlen=100)
        self._look = look

    def append(self, request: Received) -> None:
        """Note a request that is about to be carried out."""
        super().append(request)
        if request.method != "GET":
            self._look()


class Theatre:
    """A stage on the fake that is watched all the time."""

    def __init__(self, fake: FakeAri, stage: Stage, cast: FakeCast) -> None:
        self._fake = fake
        self._stage = stage
        self._cast = cast
        self._allowed: Cells = frozenset()
        self._kept: Cells = frozenset()
        self._people: frozenset[str] = frozenset()
        self._wrong: list[str] = []
        self._step: Step = ()
        self.looks = 0

    async def play(self, step: Step) -> None:
        """Play a step. On the way nobody hears what he is to hear neither before nor after."""
        self._expect(step)
        await self._stage.play(step)
        await self._check(self._stage.scene)

    async def play_with(self, step: Step, faults: Callable[[FakeAri], None]) -> None:
        """Play a step in which something goes wrong; then what is reported is what is heard."""
        possible = tuple(op for op in step if is_possible(self._stage.scene, op))
        self._expect(possible)
        parties = set(self._stage.scene.parties)
        touched = any(isinstance(op, Mute | Hold | Add | Drop) for op in step)
        between = frozenset(cell for cell in self._kept if parties.issuperset(cell))
        self._kept = frozenset() if touched else between
        faults(self._fake)
        await self._stage.try_to_play(possible)
        self._fake.failures.rules.clear()
        self._fake.failures.mishaps.clear()
        self._kept = frozenset()
        await self._check(None)

    def _expect(self, step: Step) -> None:
        scenes = on_the_way(self._stage.scene, step)
        cells = [scene.cells for scene in scenes]
        self._people = frozenset().union(*(scene.people for scene in scenes))
        self._allowed = frozenset().union(*cells)
        # An end is no moment: who hangs up is gone for some before he is for others.
        ends = any(isinstance(op, HangUp) for op in step)
        self._kept = frozenset() if ends else frozenset.intersection(*cells)
        self._step = step
        self._fake.received = Doorman(self._look)

    async def _check(self, scene: Scene | None) -> None:
        """Wait until what is heard is what the script says; without a scene: what is reported."""

        def wanted() -> Cells:
            return (scene or self._stage.reported()).cells

        loop = asyncio.get_running_loop()
        end = loop.time() + WRONG_WITHIN_S
        while (now := self.now()) != (cells := wanted()):
            if loop.time() > end:
                also, missing = set(now - cells), set(cells - now)
                raise AssertionError(f"after {told(self._step)}: also {also}, not {missing}")
            await asyncio.sleep(0.02)
        self._fake.received = deque(maxlen=100)
        self._stage.scene = scene or self._stage.reported()
        assert not self._wrong, self._wrong[:3]

    def now(self) -> Cells:
        """Return who hears whom now."""
        return heard(self._fake, self._cast)

    def _look(self) -> None:
        self.looks += 1
        try:
            now = self.now()
        except AssertionError as error:
            self._wrong.append(f"during {told(self._step)}: {error}")
            return
        # Of who has gone, objects may be left for a moment; but nobody is there to speak or hear.
        now = frozenset(cell for cell in now if self._people.issuperset(cell))
        if now - self._allowed or self._kept - now:
            also, missing = now - self._allowed, self._kept - now
            asked = [f"{r.method} {r.resource} {r.query}" for r in self._fake.received][-40:]
            text = f"during {told(self._step)}: also {set(also)}, not {set(missing)}, after:"
            self._wrong.append("\n".join([text, *asked]))


@asynccontextmanager
async def opened(
    fake: FakeAri, client: Client, calls: asyncio.Queue[ActiveCall]
) -> AsyncIterator[Theatre]:
    """Let both calls begin. ``calls``: where the client's incoming calls come."""
    caller = fake.incoming_call(caller="1001", number="1002")
    call = await calls.get()
    await call.connect()
    foreign = fake.place_call("1003", "1004")
    other = await other_call(client, call)
    cast = FakeCast(fake, caller, foreign)
    yield Theatre(fake, Stage(client, call, other, cast, patience=WRONG_WITHIN_S), cast)


async def client_of(fake: FakeAri) -> tuple[Client, asyncio.Queue[ActiveCall]]:
    """Return a client, not connected yet, and where its incoming calls come."""
    calls: asyncio.Queue[ActiveCall] = asyncio.Queue()
    client = Client(fake.url, fake.username, fake.password, sample_rate=16000, probe=False)
    client.on(events.INCOMING_CALL, calls.put_nowait)
    return client, calls
