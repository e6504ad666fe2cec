"""What a participant says over an audio socket: what is still to be sent, and what came of it.

Bytes are counted from the participant's coming.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec

from bridge.media.outbox import Dropped
from bridge.media.pcm import SAMPLE_BYTES, check_pcm
from bridge.model.errors import BufferFullError
from bridge.protocol import frames
from bridge.sdk.remote.audio_socket import AudioSocket, Where
from bridge.sdk.remote.http import Http

_log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 2.0
"""How long a command waits for a socket that broke: nobody knows before how much of it came."""
_FRAME_BYTES: Final = 32_000
"""Sent in one WebSocket frame at most."""
_CLEAR: Final = msgspec.json.encode(frames.ClearAudio()).decode()


@dataclass(eq=False, slots=True, weakref_slot=True)
class Mark:
    """A place in what one says: behind so many bytes, of those that can still come."""

    position: int


@dataclass(eq=False, slots=True)
class Gate:
    """A place in what one says behind which nothing is sent before it is open."""

    is_open: bool = False


class Mouth(AudioSocket):
    """What one says. rate: Hz."""

    def __init__(self, http: Http, where: Where, rate: int) -> None:
        self._rate = rate
        self._progress = frames.AudioProgress(received=0, buffered=0)
        self._unsent: deque[bytes | Gate] = deque()
        """Empty bytes stand for: drop what is not played."""
        self._written = 0
        self._cleared = 0
        self._clears_at: int | None = None
        """How many bytes stand before a clear of which the daemon may not know yet."""
        self._marks: weakref.WeakSet[Mark] = weakref.WeakSet()
        self._wake = asyncio.Event()
        super().__init__(http, where, {"hear": "0"})

    @property
    def position(self) -> int:
        """Bytes that were sent, of those that may still be on their way."""
        return self._written + self._waiting

    @property
    def received(self) -> int:
        """Bytes that have come to the daemon, as far as is known here."""
        return self._progress.received

    def mark(self) -> Mark:
        """Return the place behind what was said up to now."""
        mark = Mark(self.position)
        self._marks.add(mark)
        return mark

    def shut(self) -> Gate:
        """Keep back what is said from now on, until ``release``."""
        gate = Gate()
        self._unsent.append(gate)
        return gate

    def release(self, gate: Gate) -> None:
        """Let what waits behind a gate go. Idempotent."""
        gate.is_open = True
        self._wake.set()

    async def open_again(self) -> None:
        """Wait until it is known how much came before a break, if there was one; not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_SECONDS):
                await self._open.wait()

    @property
    def unplayed(self) -> int:
        """Bytes that were sent and are neither played nor dropped, as far as is known here."""
        if self.over:
            return 0
        if self._clears_at is not None:
            # What the daemon told is of before.
            return max(0, self.position - self._clears_at)
        return max(0, self.position - self._progress.received) + self._progress.buffered

    @property
    def dropped(self) -> Dropped:
        """Bytes that were sent and not heard, by reason."""
        said = self._progress.dropped
        return Dropped(
            silent=said.get("silent", 0),
            cleared=said.get("cleared", 0) + self._cleared,
            refused=said.get("refused", 0),
        )

    async def send(self, pcm: bytes | bytearray | memoryview) -> None:
        """Say it. Raises BufferFullError with nothing taken, BadArgumentError, CallClosedError."""
        check_pcm(pcm)
        chunk = bytes(pcm)
        news = await self.opened()
        most = int(news.send_buffer_seconds * self._rate) * SAMPLE_BYTES
        if (unplayed := self.unplayed) + len(chunk) > most:
            raise BufferFullError(
                f"the send buffer holds {news.send_buffer_seconds:g} s of audio and {unplayed} "
                f"bytes of it are taken: {len(chunk)} more do not fit; send later, or clear it"
            )
        self._unsent.extend(
            chunk[at : at + _FRAME_BYTES] for at in range(0, len(chunk), _FRAME_BYTES)
        )
        self._wake.set()

    def clear(self) -> None:
        """Drop what is not played."""
        self._cleared += self._waiting
        self._unsent = deque(item for item in self._unsent if isinstance(item, Gate))
        for mark in self._marks:
            mark.position = min(mark.position, self._written)
        if self.unplayed or self._clears_at is not None:
            self._clears_at = self._written
            self._unsent.appendleft(b"")
            self._wake.set()

    @staticmethod
    def _is_shut(item: bytes | Gate) -> bool:
        return isinstance(item, Gate) and not item.is_open

    @property
    def _waiting(self) -> int:
        return sum(len(item) for item in self._unsent if isinstance(item, bytes))

    def _opened(self, news: frames.AudioReady) -> None:
        # What was on its way when a socket broke is lost: the daemon counts what came.
        for mark in self._marks:
            unsent = max(0, mark.position - self._written)
            came = news.position if unsent else min(mark.position, news.position)
            mark.position = came + unsent
        if self._clears_at is not None and news.position <= self._clears_at:
            self._clears_at = news.position
            self._unsent.appendleft(b"")
        else:
            self._clears_at = None
        self._written = news.position
        self._progress = msgspec.structs.replace(self._progress, received=news.position)

    def _progressed(self, progress: frames.AudioProgress) -> None:
        if self._clears_at is not None:
            before, now = (one.dropped.get("cleared", 0) for one in (self._progress, progress))
            nothing_left = progress.received == self._clears_at and not progress.buffered
            if now > before or nothing_left or progress.received > self._clears_at:
                self._clears_at = None
        self._progress = progress

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            while self._unsent and not self._is_shut(self._unsent[0]):
                chunk = self._unsent.popleft()
                if isinstance(chunk, Gate):
                    continue
                self._written += len(chunk)
                try:
                    if chunk:
                        await socket.send_bytes(chunk)
                    else:
                        await socket.send_str(_CLEAR)
                except (ConnectionError, aiohttp.ClientError) as error:
                    _log.debug("audio waits for the next socket: %s", error)
                    self._written -= len(chunk)
                    self._unsent.appendleft(chunk)
                    return
            self._wake.clear()
            await self._wake.wait()
