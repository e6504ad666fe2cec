"""Audio of one participant over WebSockets: what he says, and what he hears.

Bytes are counted from the participant's coming. A command that has its place in the audio names
how many were sent before it (``after_audio``); for what of them is lost it does not wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from bridge.media.ears import AudioStream
from bridge.media.outbox import Dropped
from bridge.media.pcm import SAMPLE_BYTES
from bridge.model.errors import CallClosedError, CommandTimeoutError
from bridge.protocol.requests import ChangeMode, Request
from bridge.sdk.remote.audio_socket import AudioSocket, Ear, Where
from bridge.sdk.remote.http import USUAL_SECONDS, Http
from bridge.sdk.remote.mouth import Gate, Mouth

_log = logging.getLogger(__name__)
R = TypeVar("R", bound=Request)
T = TypeVar("T")

_HELD_SECONDS: Final = 0.25
"""How long what is said after a command waits for it at most: it has come to the daemon by then,
though it may have to wait there for what was said before."""
_LAST_SECONDS: Final = 0.5
"""How long, after who spoke or heard has gone, the last of his audio may come."""


class Audio:
    """All audio of one participant: a socket for what he says, and one for each that he hears.

    where: his call and his name, which may change. rate: Hz.
    """

    def __init__(self, http: Http, where: Where, rate: int) -> None:
        self._http = http
        self._where = where
        self._rate = rate
        self._mouth: Mouth | None = None
        self._ears: dict[str | None, Ear] = {}
        self._replaced: list[AudioSocket] = []
        self._closed = False

    async def in_order(self, asked: R, carry_out: Callable[[R], Awaitable[T]]) -> T:
        """Carry out a command behind what was said before it.

        asked: what has ``after_audio``. When bytes that it counts were lost with a socket, or
        dropped, the daemon waits for them in vain, and is asked again without them.
        """
        mouth = self._mouth
        if mouth is None or mouth.over or not hasattr(asked, "after_audio"):
            return await carry_out(asked)
        # What is said after a change of mode is for the new one: it must not be there before it.
        gate = mouth.shut() if isinstance(asked, ChangeMode) else None
        try:
            return await self._behind(mouth, gate, asked, carry_out)
        finally:
            if gate is not None:
                mouth.release(gate)

    async def _behind(
        self, mouth: Mouth, gate: Gate | None, asked: R, carry_out: Callable[[R], Awaitable[T]]
    ) -> T:
        mark = mouth.mark()
        if mark.position:
            await mouth.open_again()
        if gate is not None:
            # A mode that is played up to for long is there long after its command.
            asyncio.get_running_loop().call_later(_HELD_SECONDS, mouth.release, gate)
        while True:
            position = mark.position
            behind = None if mouth.over else position or None
            try:
                return await carry_out(msgspec.structs.replace(asked, after_audio=behind))
            except CommandTimeoutError:
                await mouth.open_again()
                # One that had all that it waits for was carried out: it is not done twice.
                if behind is None or mark.position == position or mouth.received >= behind:
                    raise
                _log.info("of what was said before a command some is lost: it is given again")

    @property
    def unplayed(self) -> int:
        """Bytes that were sent and not yet played."""
        return 0 if self._mouth is None else self._mouth.unplayed

    @property
    def patience_seconds(self) -> float:
        """How long the answer to a command may take that comes behind what is not yet played."""
        return USUAL_SECONDS + self.unplayed / SAMPLE_BYTES / self._rate

    @property
    def dropped(self) -> Dropped:
        """Bytes that were sent and not heard."""
        return Dropped() if self._mouth is None else self._mouth.dropped

    async def send(self, pcm: bytes | bytearray | memoryview) -> None:
        """Say it; see ``Mouth.send``."""
        if self._closed:
            raise CallClosedError("the audio has ended")
        await self._open().send(pcm)

    def attend(self) -> None:
        """Have a socket open, also while nothing is said: whose client has gone has to leave."""
        if not self._closed:
            self._open()

    def clear(self) -> None:
        """Drop what is not played."""
        if self._mouth is not None:
            self._mouth.clear()

    def subscribe(self, speaker: str | None, max_seconds: float) -> AudioStream:
        """Listen from now on."""
        ear = self._ears.get(speaker)
        if ear is None or (ear.over and not self._closed):
            self._replace(ear)
            ear = self._ears[speaker] = Ear(self._http, self._where, speaker)
            if self._closed:
                ear.end()
        return ear.subscribe(max_seconds)

    def leave(self, speaker: str) -> None:
        """A speaker has gone: the daemon closes his socket behind the last that he has said."""
        if (ear := self._ears.pop(speaker, None)) is not None:
            self._replace(ear)
            asyncio.get_running_loop().call_later(_LAST_SECONDS, ear.end)

    @property
    def over(self) -> bool:
        """Whether it has ended, and nothing of it runs."""
        return self._closed and all(socket.done for socket in self._sockets)

    def end_soon(self) -> None:
        """End it when the last of it, which may be on its way, has come."""
        asyncio.get_running_loop().call_later(_LAST_SECONDS, self.end)

    def end(self) -> None:
        """Nothing is heard, or said, any more; what was heard before can still be read."""
        self._closed = True
        for socket in self._sockets:
            socket.end()

    async def aclose(self) -> None:
        """End it, and wait for the end."""
        self.end()
        for socket in self._sockets:
            await socket.wait_done()

    def _open(self) -> Mouth:
        if self._mouth is None or (self._mouth.over and not self._mouth.is_taken):
            self._replace(self._mouth)
            self._mouth = Mouth(self._http, self._where, self._rate)
        return self._mouth

    @property
    def _sockets(self) -> list[AudioSocket]:
        mouth = [] if self._mouth is None else [self._mouth]
        return [*mouth, *self._ears.values(), *self._replaced]

    def _replace(self, socket: AudioSocket | None) -> None:
        self._replaced = [one for one in self._replaced if not one.done]
        if socket is not None and not socket.done:
            self._replaced.append(socket)
