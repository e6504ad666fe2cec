"""Audio of one participant over WebSockets: what he says, and what he hears.

Bytes are counted from the participant's coming. A command that has its place in the audio names
how many were sent before it (``position``).
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from bridge.ari import Backoff
from bridge.media.ears import AudioStream
from bridge.media.outbox import Dropped
from bridge.media.pcm import FRAME_SECONDS, AudioFormat, check_pcm
from bridge.model.errors import (
    BadArgumentError,
    BufferFullError,
    CallbridgeError,
    CallClosedError,
    CommandTimeoutError,
    ForbiddenError,
    NotFoundError,
    UnauthenticatedError,
)
from bridge.protocol import frames
from bridge.sdk.remote.http import Http

_log = logging.getLogger(__name__)

_READY_SECONDS: Final = 5.0
_FRAME_BYTES: Final = 32_000
"""Sent in one WebSocket frame at most."""
_BACKOFF: Final = Backoff(shortest_s=0.05, longest_s=1.0)
_DECODER: Final = msgspec.json.Decoder(frames.AudioReady | frames.AudioProgress | frames.CutOff)
_CLEAR: Final = msgspec.json.encode(frames.ClearAudio()).decode()
_OVER: Final = frozenset(
    {
        aiohttp.WSCloseCode.OK.value,
        frames.CLOSE_NOT_FOUND,
        frames.CLOSE_FORBIDDEN,
        frames.CLOSE_UNAUTHENTICATED,
        frames.CLOSE_BAD_FRAME,
    }
)
"""Closed so, the audio has ended."""
_REFUSED: Final = (NotFoundError, ForbiddenError, UnauthenticatedError, BadArgumentError)

Where = Callable[[], tuple[str, str]]
"""Returns a call's id, and the name of the participant."""


class AudioSocket:
    """One socket: what one hears of ``speaker``, or of all (None), and the way for what one says.

    It is opened again when it breaks, and closed when nobody has streams of it and nothing is
    said on it any more.
    """

    def __init__(self, http: Http, where: Where, speaker: str | None, rate: int) -> None:
        self._http = http
        self._where = where
        self._speaker = speaker
        self._rate = rate
        self._streams: weakref.WeakSet[AudioStream] = weakref.WeakSet()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._ready = asyncio.Event()
        """Audio could be sent once, or never will."""
        self._open = asyncio.Event()
        """Audio can be sent now."""
        self._ending = False
        self._news: frames.AudioReady | None = None
        self._progress = frames.AudioProgress(received=0, buffered=0)
        self._unsent: deque[bytes] = deque()
        self._written = 0
        self._cleared = 0
        self._wake = asyncio.Event()
        self._lost = 0
        self._refusal: CallbridgeError | None = None
        self.spoken = False
        """Something was said on it: it stays."""
        self._task = asyncio.create_task(self._run(), name=f"audio of {where()[1]}")

    # --- what one says --------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Bytes that were sent, of those that may still be on their way."""
        return self._written + self._waiting

    @property
    def unplayed(self) -> int:
        """Bytes that were sent and are neither played nor dropped, as far as is known here."""
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
        self.spoken = True
        news = await self.opened()
        most = int(news.send_buffer_seconds * self._rate) * 2
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
        self._unsent.clear()
        if self._written > self._progress.received or self._progress.buffered:
            self._unsent.append(b"")
            self._wake.set()

    # --- what one hears -------------------------------------------------------------------------

    def subscribe(self, max_seconds: float) -> AudioStream:
        """Listen from now on. Raises BadArgumentError below one frame."""
        most = int(max_seconds / FRAME_SECONDS + 1e-9)
        if most < 1:
            raise BadArgumentError(f"max_seconds={max_seconds:g}: a frame is 0.02 s")
        stream = AudioStream(self._speaker, most)
        if self._task.done():
            stream.end()
        self._streams.add(stream)
        return stream

    @property
    def needed(self) -> bool:
        """Whether somebody listens, or speaks, by it."""
        return self.spoken or any(not stream.ended for stream in self._streams)

    async def opened(self) -> frames.AudioReady:
        """Wait until audio comes and may be sent. Raises CommandTimeoutError, and a refusal."""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            raise CommandTimeoutError("the daemon opened no audio socket in time") from None
        if self._news is None:
            raise self._refusal or CallClosedError("the audio has ended")
        return self._news

    @property
    def over(self) -> bool:
        """Whether it is of no more use."""
        return self._task.done() or self._ending

    @property
    def done(self) -> bool:
        """Whether nothing of it runs any more."""
        return self._task.done()

    def end(self) -> None:
        """Nothing is heard, or said, any more."""
        self._ending = True
        self._task.cancel()

    async def ended(self) -> None:
        """Wait for the end of its task."""
        await asyncio.gather(self._task, return_exceptions=True)

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _waiting(self) -> int:
        return sum(map(len, self._unsent))

    async def _run(self) -> None:
        failures = 0
        try:
            while self._refusal is None:
                try:
                    if await self._live():
                        return
                    failures = 1
                except _REFUSED as error:
                    self._refusal = error
                    _log.info("no audio: %s", error)
                except CallbridgeError as error:
                    failures += 1
                    _log.debug("no audio yet: %s", error)
                await asyncio.sleep(_BACKOFF.delay_s(failures))
        finally:
            self._news = None
            self._ready.set()
            for stream in list(self._streams):
                stream.end()

    async def _live(self) -> bool:
        """Go through the life of one socket; tell whether it ended in order."""
        call_id, name = self._where()
        path = frames.AUDIO_SOCKET.replace("{call_id}", call_id)
        speaker = {} if self._speaker is None else {"speaker": self._speaker}
        socket = await self._http.socket(path, **{"as": name, **speaker})
        writer = asyncio.create_task(self._write(socket), name=f"what {name} says")
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._hear(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self._told(message.data)
        finally:
            self._open.clear()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await socket.close()
        return socket.close_code in _OVER

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._open.wait()
        while True:
            while self._unsent:
                chunk = self._unsent[0]
                try:
                    if chunk:
                        await socket.send_bytes(chunk)
                    else:
                        await socket.send_str(_CLEAR)
                except (ConnectionError, aiohttp.ClientError) as error:
                    # It is sent again when the socket is open again.
                    _log.debug("audio waits: %s", error)
                    return
                if self._unsent and self._unsent[0] is chunk:
                    self._unsent.popleft()
                self._written += len(chunk)
            self._wake.clear()
            await self._wake.wait()

    def _hear(self, frame: bytes) -> None:
        for stream in list(self._streams):
            if stream.ended:
                self._streams.discard(stream)
            else:
                stream.feed(frame)
        if not self.needed:
            self.end()

    def _told(self, text: str) -> None:
        try:
            frame = _DECODER.decode(text)
        except msgspec.MsgspecError as error:
            _log.warning("a frame beside the audio is not understood: %s", error)
            return
        match frame:
            case frames.AudioReady() as news:
                self._news = news
                # What was on its way when a socket broke is lost: the server counts what came.
                self._written = news.position
                self._progress = msgspec.structs.replace(self._progress, received=news.position)
                self._ready.set()
                self._open.set()
            case frames.AudioProgress() as progress:
                for stream in self._streams:
                    stream.dropped_frames += max(0, progress.lost_frames - self._lost)
                self._lost = progress.lost_frames
                self._progress = progress
            case frames.CutOff(message=message):
                _log.info("audio was cut off: %s", message)


class Audio:
    """All sockets of one participant: one for the mix and for what he says, one for each speaker.

    where: his call and his name, which may change. rate: Hz.
    """

    def __init__(self, http: Http, where: Where, rate: int) -> None:
        self._http = http
        self._where = where
        self._format = AudioFormat(rate)
        self._sockets: dict[str | None, AudioSocket] = {}
        self._closed = False

    @property
    def position(self) -> int | None:
        """What a command says as ``after_audio``: None before anything was said."""
        socket = self._sockets.get(None)
        return socket.position if socket is not None and socket.spoken else None

    @property
    def unplayed(self) -> int:
        """Bytes that were sent and not yet played."""
        socket = self._sockets.get(None)
        return 0 if socket is None else socket.unplayed

    @property
    def dropped(self) -> Dropped:
        """Bytes that were sent and not heard."""
        socket = self._sockets.get(None)
        return Dropped() if socket is None else socket.dropped

    async def send(self, pcm: bytes | bytearray | memoryview) -> None:
        """Say it; see ``AudioSocket.send``."""
        await self._socket(None).send(pcm)

    def clear(self) -> None:
        """Drop what is not played."""
        if (socket := self._sockets.get(None)) is not None:
            socket.clear()

    def subscribe(self, speaker: str | None, max_seconds: float) -> AudioStream:
        """Listen from now on."""
        return self._socket(speaker).subscribe(max_seconds)

    def prepare(self) -> None:
        """Open the socket for what is said, ahead of its first use."""
        self._socket(None).spoken = True

    @property
    def over(self) -> bool:
        """Whether it has ended, and nothing of it runs."""
        return self._closed and all(socket.done for socket in self._sockets.values())

    def end(self) -> None:
        """Nothing is heard, or said, any more; what was heard before can still be read."""
        self._closed = True
        for socket in self._sockets.values():
            socket.end()

    async def aclose(self) -> None:
        """End it, and wait for the end."""
        self.end()
        for socket in self._sockets.values():
            await socket.ended()

    def _socket(self, speaker: str | None) -> AudioSocket:
        socket = self._sockets.get(speaker)
        if socket is None or (socket.over and not self._closed):
            socket = AudioSocket(self._http, self._where, speaker, self._format.rate)
            self._sockets[speaker] = socket
            if self._closed:
                socket.end()
        return socket
