"""What a client says over an audio socket: read as it comes, taken when there is room for it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Protocol, Self

from bridge.api.sockets.common import CutOffError, LeftError
from bridge.media.pcm import check_pcm
from bridge.model.errors import ErrorCode
from bridge.protocol.frames import ClearAudio, ClientMessage

KEPT_BYTES: Final = 1 << 20
"""How much audio waits: 22 s at 24 kHz. Who sends more ahead waits himself."""


class Source(Protocol):
    """Where it comes from: a Link."""

    async def receive(self) -> ClientMessage | bytes:
        """Wait for a frame. Raises CutOffError for a bad one, LeftError."""
        ...


class Inbox:
    """Reads what a client says, whether or not it can be taken: his pings are answered meanwhile.

    most: bytes of audio (s16le) that wait; with so many nothing more is read, no ping either, until
    some of them were taken. ``clear_audio`` drops what waits.
    """

    def __init__(self, source: Source, most: int = KEPT_BYTES) -> None:
        self._source = source
        self._most = most
        self._audio = bytearray()
        self._cleared: int | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read(), name="what is said over a socket")
        self._task.add_done_callback(lambda _task: self._news.set())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def check(self) -> None:
        """Raise what reading has ended with, if it has."""
        if self._task.done():
            self._task.result()

    async def wait(self) -> None:
        """Wait until something is there.

        Raises what reading has ended with: at once, or, when the client has left, behind all that
        he has said.
        """
        while True:
            has_left = self._task.done() and isinstance(self._task.exception(), LeftError)
            is_empty = not self._audio and self._cleared is None
            if is_empty or not has_left:
                self.check()
            if not is_empty:
                return
            self._news.clear()
            await self._news.wait()

    def first(self, size: int) -> bytes:
        """Return the audio that is next, at most so many bytes of it."""
        return bytes(self._audio[:size])

    def took(self, size: int) -> None:
        """So much of it was taken."""
        del self._audio[:size]
        self._room.set()

    def take_clear(self) -> int | None:
        """Return how many bytes a ``clear_audio`` has dropped here; None when there was none."""
        cleared, self._cleared = self._cleared, None
        return cleared

    async def _read(self) -> None:
        while True:
            while len(self._audio) >= self._most:
                self._room.clear()
                await self._room.wait()
            match await self._source.receive():
                case bytes() as pcm:
                    check_pcm(pcm)
                    self._audio += pcm
                case ClearAudio():
                    self._cleared = (self._cleared or 0) + len(self._audio)
                    self._audio.clear()
                case _:
                    raise CutOffError(
                        ErrorCode.BAD_ARGUMENT, "this socket takes audio, and clear_audio"
                    )
            self._news.set()
