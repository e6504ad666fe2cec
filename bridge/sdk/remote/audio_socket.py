"""One audio socket of a participant, which is opened again when it breaks, and what he hears."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec

from bridge.ari import Backoff
from bridge.media.ears import AudioStream
from bridge.media.pcm import FRAME_SECONDS
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    CallClosedError,
    CommandTimeoutError,
    ForbiddenError,
    InvalidStateError,
    NotFoundError,
    UnauthenticatedError,
)
from bridge.protocol import frames
from bridge.protocol.problems import error_for
from bridge.sdk.remote.http import Http
from bridge.sdk.remote.wire import FINAL

_log = logging.getLogger(__name__)

_READY_SECONDS: Final = 5.0
_BACKOFF: Final = Backoff(shortest_s=0.05, longest_s=1.0)
_DECODER: Final = msgspec.json.Decoder(frames.AudioReady | frames.AudioProgress | frames.CutOff)
_OVER: Final = frozenset({aiohttp.WSCloseCode.OK.value, frames.CLOSE_NOT_FOUND})
"""Closed so, the audio has ended."""
_REFUSED: Final = (
    NotFoundError,
    ForbiddenError,
    UnauthenticatedError,
    BadArgumentError,
    InvalidStateError,
)

Where = Callable[[], tuple[str, str]]
"""Returns a call's id, and the name of the participant."""


class AudioSocket:
    """One socket of a participant, which is opened again when it breaks, until it has ended."""

    def __init__(self, http: Http, where: Where, query: Mapping[str, str]) -> None:
        self._http = http
        self._where = where
        self._query = query
        self._ready = asyncio.Event()
        """It was open once, or never will be."""
        self._open = asyncio.Event()
        """It is open, or never will be again."""
        self._news: frames.AudioReady | None = None
        self._refusal: CallbridgeError | None = None
        self._cut_off: CallbridgeError | None = None
        """Why the daemon is closing it."""
        self._failures = 0
        """Attempts since it was open last."""
        self.is_taken = False
        """Somebody else speaks in its place."""
        self._ending = False
        self._task = asyncio.create_task(self._run(), name=f"audio of {where()[1]}")

    async def opened(self) -> frames.AudioReady:
        """Wait until it is open. Raises CommandTimeoutError, CallClosedError, and a refusal."""
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
        """Nothing goes through it any more."""
        self._ending = True
        self._task.cancel()
        self._ended()

    async def wait_done(self) -> None:
        """Wait until nothing of it runs."""
        await asyncio.gather(self._task, return_exceptions=True)

    def _ended(self) -> None:
        """Called at its end."""

    def _opened(self, news: frames.AudioReady) -> None:
        """Called each time that it is open."""

    def _progressed(self, progress: frames.AudioProgress) -> None:
        """Called with how far it is."""

    def _heard(self, frame: bytes) -> None:
        """Called with 20 ms of the call."""

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Write what is said, as long as the socket is open."""

    async def _run(self) -> None:
        try:
            while self._refusal is None:
                try:
                    if await self._live():
                        return
                except _REFUSED as error:
                    self._refusal = error
                    _log.info("no audio: %s", error)
                except CallbridgeError as error:
                    _log.debug("no audio yet: %s", error)
                self._failures += 1
                await asyncio.sleep(_BACKOFF.delay_s(self._failures))
        finally:
            self._news = None
            self._ready.set()
            self._open.set()
            self._ended()

    async def _live(self) -> bool:
        """Go through the life of one socket; tell whether that was the last."""
        self._cut_off = None
        call_id, name = self._where()
        path = frames.AUDIO_SOCKET.replace("{call_id}", quote(call_id, safe=""))
        socket = await self._http.socket(path, **{"as": name, **self._query})
        writer: asyncio.Task[None] | None = None
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._heard(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT and self._told(message.data):
                    writer = asyncio.create_task(self._write(socket), name=f"what {name} says")
        finally:
            self._open.clear()
            if writer is not None:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
            await socket.close()
        code = socket.close_code or 0
        if code == frames.CLOSE_TAKEN:
            # Who takes the place back would be displaced again, and both for ever.
            self.is_taken = True
            self._refusal = InvalidStateError(
                f"another program speaks for {name} now: what this one says is heard no more"
            )
        elif code in FINAL:
            self._refusal = self._refused(code, name)
        elif code not in _OVER:
            return False
        return True

    def _refused(self, code: int, name: str) -> CallbridgeError:
        why = f"the daemon closed the audio of {name} ({code})"
        return self._cut_off or error_for(FINAL[code], why)

    def _told(self, text: str) -> bool:
        """Take a frame; tell whether the socket is open with it."""
        try:
            frame = _DECODER.decode(text)
        except msgspec.MsgspecError as error:
            _log.warning("a frame beside the audio is not understood: %s", error)
            return False
        match frame:
            case frames.AudioReady() as news:
                self._news = news
                self._opened(news)
                self._ready.set()
                self._open.set()
                self._failures = 0
                return True
            case frames.AudioProgress() as progress:
                self._progressed(progress)
            case frames.CutOff(code=code, message=message):
                _log.info("audio was cut off: %s", message)
                self._cut_off = error_for(code, message)
        return False


class Ear(AudioSocket):
    """What one hears of ``speaker``, or of all (None). It ends when nobody listens any more."""

    def __init__(self, http: Http, where: Where, speaker: str | None) -> None:
        self._speaker = speaker
        self._streams: weakref.WeakSet[AudioStream] = weakref.WeakSet()
        self._lost = 0
        super().__init__(http, where, {} if speaker is None else {"speaker": speaker})

    def subscribe(self, max_seconds: float) -> AudioStream:
        """Listen from now on. Raises BadArgumentError below one frame."""
        most = int(max_seconds / FRAME_SECONDS + 1e-9)
        if most < 1:
            raise BadArgumentError(f"max_seconds={max_seconds:g}: a frame is 0.02 s")
        stream = AudioStream(self._speaker, most)
        if self.over:
            stream.end()
        self._streams.add(stream)
        return stream

    def _ended(self) -> None:
        for stream in list(self._streams):
            stream.end()

    def _opened(self, news: frames.AudioReady) -> None:
        del news
        self._lost = 0

    def _progressed(self, progress: frames.AudioProgress) -> None:
        for stream in list(self._streams):
            stream.dropped_frames += max(0, progress.lost_frames - self._lost)
        self._lost = progress.lost_frames

    def _heard(self, frame: bytes) -> None:
        listened = False
        for stream in list(self._streams):
            if stream.ended:
                self._streams.discard(stream)
            else:
                stream.feed(frame)
                listened = True
        if not listened:
            self.end()
