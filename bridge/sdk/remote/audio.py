"""Audio of one participant over WebSockets: what he says, and what he hears.

Bytes are counted from the participant's coming. A command that has its place in the audio names
how many were sent before it (``after_audio``); for what of them is lost it does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from bridge.ari import Backoff
from bridge.media.ears import AudioStream
from bridge.media.outbox import Dropped
from bridge.media.pcm import FRAME_SECONDS, SAMPLE_BYTES, check_pcm
from bridge.model.errors import (
    BadArgumentError,
    BufferFullError,
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
from bridge.protocol.requests import Request
from bridge.sdk.remote.http import USUAL_SECONDS, Http
from bridge.sdk.remote.wire import FINAL

_log = logging.getLogger(__name__)
R = TypeVar("R", bound=Request)
T = TypeVar("T")

_READY_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 2.0
"""How long a command waits for a socket that broke: nobody knows before how much of it came."""
_LAST_SECONDS: Final = 0.5
"""How long, after who spoke or heard has gone, the last of his audio may come."""
_FRAME_BYTES: Final = 32_000
"""Sent in one WebSocket frame at most."""
_BACKOFF: Final = Backoff(shortest_s=0.05, longest_s=1.0)
_DECODER: Final = msgspec.json.Decoder(frames.AudioReady | frames.AudioProgress | frames.CutOff)
_CLEAR: Final = msgspec.json.encode(frames.ClearAudio()).decode()
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


@dataclass(eq=False, slots=True, weakref_slot=True)
class Mark:
    """A place in what one says: behind so many bytes, of those that can still come."""

    position: int


class Mouth(AudioSocket):
    """What one says. rate: Hz."""

    def __init__(self, http: Http, where: Where, rate: int) -> None:
        self._rate = rate
        self._progress = frames.AudioProgress(received=0, buffered=0)
        self._unsent: deque[bytes] = deque()
        """An empty one stands for: drop what is not played."""
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

    def mark(self) -> Mark:
        """Return the place behind what was said up to now."""
        mark = Mark(self.position)
        self._marks.add(mark)
        return mark

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
        self._unsent.clear()
        for mark in self._marks:
            mark.position = min(mark.position, self._written)
        if self.unplayed or self._clears_at is not None:
            self._clears_at = self._written
            self._unsent.append(b"")
            self._wake.set()

    @property
    def _waiting(self) -> int:
        return sum(map(len, self._unsent))

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
            while self._unsent:
                chunk = self._unsent.popleft()
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

    @property
    def is_speaking(self) -> bool:
        """Whether something was said, and more may be."""
        return self._mouth is not None and not self._mouth.over and self._mouth.position > 0

    async def in_order(self, asked: R, carry_out: Callable[[R], Awaitable[T]]) -> T:
        """Carry out a command behind what was said before it.

        asked: what has ``after_audio``. When bytes that it counts were lost with a socket, or
        dropped, the daemon waits for them in vain, and is asked again without them.
        """
        mouth = self._mouth
        if mouth is None or not self.is_speaking or not hasattr(asked, "after_audio"):
            return await carry_out(asked)
        mark = mouth.mark()
        await mouth.open_again()
        while True:
            position = mark.position
            behind = None if mouth.over else position or None
            try:
                return await carry_out(msgspec.structs.replace(asked, after_audio=behind))
            except CommandTimeoutError:
                await mouth.open_again()
                if behind is None or mark.position == position:
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
        """A speaker has gone."""
        if (ear := self._ears.get(speaker)) is not None:
            ear.end()

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
