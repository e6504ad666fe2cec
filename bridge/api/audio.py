"""Who speaks and hears over audio sockets, and how much of what he said has come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from bridge.media.pcm import SAMPLE_BYTES
from bridge.model.errors import CallNotFoundError, CommandTimeoutError, NotFoundError
from bridge.model.participants import AGENT
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
    _waits: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list)

    def add(self, size: int) -> None:
        """Some bytes have come."""
        self.received += size
        for position, done in self._waits:
            if position <= self.received and not done.done():
                done.set_result(None)

    def before(self, size: int) -> int:
        """Return how many of the next bytes come before the next command that waits for some.

        size: at most so many. They are whole samples.
        """
        ahead = (at - self.received for at, _ in self._waits if at > self.received)
        return min([size, *(-(-one // SAMPLE_BYTES) * SAMPLE_BYTES for one in ahead)])

    @property
    def lets_in(self) -> bool:
        """Whether a command that waited for what has come now is about to begin."""
        return any(done.done() for _, done in self._waits)

    async def reached(self, position: int) -> None:
        """Wait until so many bytes have come."""
        if position <= self.received:
            return
        wait = position, asyncio.get_running_loop().create_future()
        self._waits.append(wait)
        try:
            await wait[1]
        finally:
            self._waits.remove(wait)


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
        try:
            async with asyncio.timeout(within):
                await place.reached(position)
        except TimeoutError:
            raise CommandTimeoutError(
                f"after_audio={position}: {place.received} bytes of audio have come for {name} "
                f"within {within:g} s; send the rest on the audio socket, and ask again"
            ) from None
