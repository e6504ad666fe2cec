"""Who speaks and hears over audio sockets, and how much of what he said has come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from bridge.media.pcm import SAMPLE_BYTES
from bridge.model.errors import CallNotFoundError, CommandTimeoutError, NotFoundError
from bridge.model.participants import AGENT
from bridge.runtime.pending import telling_placed
from bridge.sdk import ActiveCall, Client, Observer

WAIT_SECONDS: Final = 2.0
"""How long a command waits for the audio that it comes after."""

Speaker: TypeAlias = ActiveCall | Observer
"""An agent, by his call, or an observer who is a program: both have the same ways to be heard."""


class Observers(Protocol):
    """Knows those observers whom the API placed."""

    def observer(self, call_id: str, name: str) -> Observer | None:
        """Return one who takes part in a call."""
        ...


class Holder(Protocol):
    """The socket that speaks for a participant."""

    number: int
    """Sockets are numbered as they come."""

    def taken(self) -> None:
        """Another one does from now on. Must not block."""


@dataclass(eq=False, slots=True)
class Turn:
    """A command behind so many bytes of what somebody says."""

    position: int
    come: asyncio.Event = field(default_factory=asyncio.Event)
    """So many have come."""
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    """What comes behind them need not wait for it any more."""


@dataclass(eq=False, slots=True)
class Place:
    """What came over sockets for one participant, since he came."""

    received: int = 0
    """Bytes: taken by his voice, or dropped before, as below."""
    unheard: int = 0
    """Of them, those that were dropped because he may not speak."""
    cleared: int = 0
    """Of them, those that were to be dropped while they waited to be taken."""
    holder: Holder | None = None
    """Who speaks for him now."""
    _turns: list[Turn] = field(default_factory=list)

    def add(self, size: int) -> None:
        """Some bytes have come."""
        self.received += size
        for turn in self._turns:
            if turn.position <= self.received:
                turn.come.set()

    @property
    def is_held(self) -> bool:
        """Whether a command is about to take its place."""
        return any(self._waited_for())

    def before(self, size: int) -> int:
        """Return how many of the next bytes come before the next command.

        size: at most so many. They are whole samples. 0: a command is about to take its place.
        """
        if self.is_held:
            return 0
        ahead = (turn.position - self.received for turn in self._turns)
        return min([size, *(-(-one // SAMPLE_BYTES) * SAMPLE_BYTES for one in ahead if one > 0)])

    async def free(self, within: float) -> None:
        """Wait, for so many seconds at most, until no command is about to take its place."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while (turn := next(self._waited_for(), None)) is not None:
                    await turn.placed.wait()

    @contextmanager
    def turn(self, position: int, *, holds: bool) -> Iterator[Turn]:
        """Note a command while the block runs. holds: what comes behind it waits for its place."""
        turn = Turn(position)
        if position <= self.received:
            turn.come.set()
        if not holds:
            turn.placed.set()
        self._turns.append(turn)
        try:
            yield turn
        finally:
            turn.placed.set()
            self._turns.remove(turn)

    def _waited_for(self) -> Iterator[Turn]:
        return (t for t in self._turns if t.come.is_set() and not t.placed.is_set())


class AudioPositions:
    """Finds participants, and lets commands take their place after audio.

    observers: those whom the API placed. In each of them, and in each call, a place is kept for as
    long as there is one.
    """

    def __init__(self, client: Client, observers: Observers) -> None:
        self._client = client
        self._observers = observers
        self._places: WeakKeyDictionary[Speaker, Place] = WeakKeyDictionary()
        self.lost_frames = 0
        """Frames of 20 ms from calls that sockets were too slow for, since the start."""

    def find(self, call_id: str, name: str) -> Speaker:
        """Return who is meant: ``ai`` is the agent. Raises CallNotFoundError, NotFoundError."""
        found: Speaker | None
        if name == AGENT:
            found = self._client.get_call(call_id)
            if found is None:
                raise CallNotFoundError(f"{call_id} is no call of callbridge's that has an agent")
        else:
            found = self._observers.observer(call_id, name)
            if found is None:
                raise NotFoundError(f"call {call_id} has no observer {name} that the API placed")
        return found

    def place(self, speaker: Speaker) -> Place:
        """Return what came for a participant."""
        return self._places.setdefault(speaker, Place())

    async def wait(
        self, call_id: str, name: str, position: int, *, within: float = WAIT_SECONDS
    ) -> None:
        """Wait until so many bytes have come for a participant, so that what follows is after them.

        Raises CommandTimeoutError when they do not come, CallNotFoundError, NotFoundError.
        """
        place = self.place(self.find(call_id, name))
        with place.turn(position, holds=False) as turn:
            await come(turn, place, name, within)

    @asynccontextmanager
    async def turn(
        self, call_id: str, name: str, position: int, *, within: float = WAIT_SECONDS
    ) -> AsyncIterator[None]:
        """Let the command of the block have its place in the voice behind so many bytes.

        What comes behind them waits until it has, or has failed: it may be for other ears than
        what was said before. Raises what ``wait`` does.
        """
        place = self.place(self.find(call_id, name))
        with place.turn(position, holds=True) as turn:
            await come(turn, place, name, within)
            with telling_placed(turn.placed.set):
                yield


async def come(turn: Turn, place: Place, name: str, within: float) -> None:
    """Wait until what a command comes after has come for ``name``. Raises CommandTimeoutError.

    within: seconds, from when nothing is held back any more.
    """
    while not turn.come.is_set():
        # What was sent may wait behind another command: it ends, and the time begins anew.
        waits_behind = place.is_held
        try:
            async with asyncio.timeout(within):
                await turn.come.wait()
        except TimeoutError:
            if not (waits_behind or place.is_held or turn.come.is_set()):
                raise CommandTimeoutError(
                    f"after_audio={turn.position}: {place.received} bytes of audio have come for "
                    f"{name} within {within:g} s; send the rest on the audio socket, and ask again"
                ) from None
