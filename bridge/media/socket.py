"""One connection to Asterisk's media WebSocket (chan_websocket).

Binary messages are audio, text messages are control, in plain text (the default) or JSON
(``f(json)`` in the channel's transport data). Source: channels/chan_websocket.c of Asterisk
22.10.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import aiohttp
import msgspec

from bridge.model.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.media.pcm import AudioFormat

Connect: TypeAlias = "Callable[[], Awaitable[aiohttp.ClientWebSocketResponse]]"
"""Opens ``/media/<connection id>`` with the subprotocol ``media``."""

Control: TypeAlias = Literal["plain-text", "json"]
"""Format of control messages, as Asterisk names them."""

OPEN_TIMEOUT: Final = 5.0
"""Seconds from connecting to MEDIA_START."""

_CLOSE_TIMEOUT: Final = 1.0
_MAX_COMMAND: Final = 128
_MAX_OUTGOING: Final = 250

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Asterisk's answer to GET_STATUS."""

    queue_length: int
    """Frames that wait to be played."""
    queue_full: bool
    paused: bool


@dataclass(slots=True)
class SocketCounts:
    """What passed through a socket. Frames of 20 ms unless said."""

    received: int = 0
    """Binary messages."""
    sent: int = 0
    refused: int = 0
    """Not sent: the socket was closed, or Asterisk's queue full (XOFF)."""
    flushed: int = 0
    """Flushes."""
    xoff: int = 0
    """How often Asterisk said that its queue is nearly full."""
    errors: int = 0
    """ERROR events of Asterisk, and messages that nobody can read."""


def parse_control(text: str) -> tuple[str, dict[str, str]]:
    """Split a control message, of either format, into its event and its fields.

    A correlation id is the field ``correlation_id`` in both. Raises ValueError for broken JSON.
    """
    if text.lstrip().startswith("{"):
        try:
            fields = msgspec.json.decode(text, type=dict[str, object])
        except msgspec.DecodeError as error:
            raise ValueError(f"not a control message: {text[:100]!r}") from error
        return str(fields.pop("event", "")), {key: _text(value) for key, value in fields.items()}
    event, _, rest = text.strip().partition(" ")
    if event in {"MEDIA_MARK_PROCESSED", "MEDIA_BUFFERING_COMPLETED"}:
        return event, {"correlation_id": rest.strip()}
    if event == "ERROR":
        head, _, reason = rest.partition("error_text:")
        return event, {"error_text": reason, **_pairs(head)}
    return event, _pairs(rest)


def _text(value: object) -> str:
    """Spell a JSON value as the plain-text format does."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pairs(text: str) -> dict[str, str]:
    """Read ``key:value`` words."""
    return {key: value for key, _, value in (word.partition(":") for word in text.split())}


def format_command(command: str, correlation_id: str | None, control: Control) -> str:
    """Spell a command; ValueError over 128 bytes, which Asterisk would drop without an answer."""
    if control == "json":
        fields = {"command": command}
        if correlation_id is not None:
            fields["correlation_id"] = correlation_id
        text = msgspec.json.encode(fields).decode()
    else:
        text = command if correlation_id is None else f"{command} {correlation_id}"
    if len(text.encode()) > _MAX_COMMAND:
        raise ValueError(f"{text[:40]}… is longer than {_MAX_COMMAND} bytes")
    return text


def _refuse(future: asyncio.Future[None] | asyncio.Future[QueueStatus], reason: str) -> None:
    """Fail what somebody waits for, or has given up waiting for."""
    if not future.done():
        future.set_exception(MediaError(reason))
        # Whoever gave up waiting does not want to hear of it.
        future.exception()


class MediaSocket:
    """Audio of one line, in and out. ``open()`` first, ``aclose()`` last; owns two tasks.

    on_audio(pcm, at): called for every binary message as it arrives; ``at`` is the event loop's
    time in seconds. It must not block and must not raise.
    on_closed(reason): called once if the socket closes otherwise than by ``aclose()``.
    Sending never blocks and never raises: what a closed socket is given is counted as refused.
    """

    def __init__(
        self,
        connect: Connect,
        audio_format: AudioFormat,
        *,
        on_audio: Callable[[bytes, float], None],
        on_closed: Callable[[str], None] | None = None,
        control: Control = "plain-text",
        name: str = "media",
    ) -> None:
        self._connect = connect
        self._format = audio_format
        self._on_audio = on_audio
        self._on_closed = on_closed
        self._control: Control = control
        self._name = name
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._started: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._outgoing: deque[bytes | str] = deque()
        self._wake = asyncio.Event()
        self._marks: dict[str, asyncio.Future[float | None]] = {}
        self._mark_ids = itertools.count(1)
        self._statuses: deque[asyncio.Future[QueueStatus]] = deque()
        self._xoff = False
        self._closed = False
        self.counts = SocketCounts()
        self.channel_id: str | None = None
        """Asterisk's channel, when it says it: in JSON only."""

    @property
    def closed(self) -> bool:
        """True before ``open()`` succeeded and after the end."""
        return self._closed or self._ws is None

    @property
    def xoff(self) -> bool:
        """Asterisk's queue is nearly full and takes no more for now."""
        return self._xoff

    async def open(self, within: float = OPEN_TIMEOUT) -> None:
        """Connect and wait for MEDIA_START.

        within: seconds. Raises MediaError if Asterisk refuses, does not answer in time, or its
        frame is not the one of our format.
        """
        self._started = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within):
                self._ws = await self._connect()
                self._tasks = [
                    asyncio.create_task(self._receive(self._ws), name=f"{self._name}-receive"),
                    asyncio.create_task(self._transmit(self._ws), name=f"{self._name}-transmit"),
                ]
                await self._started
        except TimeoutError as error:
            await self.aclose()
            raise MediaError(f"{self._name}: no MEDIA_START within {within:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            await self.aclose()
            raise MediaError(f"{self._name}: cannot open the media socket: {error}") from error
        except BaseException:
            await self.aclose()
            raise

    def send_frame(self, pcm: bytes) -> bool:
        """Queue one frame of exactly 20 ms for sending; tell whether it was taken.

        Raises ValueError for any other size: outside of buffering Asterisk would cut it short.
        """
        if len(pcm) != self._format.frame_bytes:
            raise ValueError(f"a frame is {self._format.frame_bytes} bytes, not {len(pcm)}")
        if self.closed or self._xoff or not self._put(pcm):
            self.counts.refused += 1
            return False
        return True

    def mark(self) -> asyncio.Future[float | None]:
        """Mark this place in the stream.

        The future gets the event loop's time at which all before the mark had been played, or
        None when the mark was flushed or the socket closed. It never gets an exception.
        """
        future: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        mark_id = str(next(self._mark_ids))
        command = format_command("MARK_MEDIA", mark_id, self._control)
        if self.closed or not self._put(command):
            future.set_result(None)
        else:
            self._marks[mark_id] = future
        return future

    def flush(self) -> None:
        """Drop what waits here and what is queued in Asterisk; marks on the way get None."""
        if self.closed:
            return
        self.counts.flushed += 1
        self._outgoing = deque(
            item
            for item in self._outgoing
            if isinstance(item, str) and not item.startswith(("MARK_MEDIA", '{"command":"MARK'))
        )
        self._put(format_command("FLUSH_MEDIA", None, self._control))
        self._resolve_marks()

    def ask(self) -> asyncio.Future[QueueStatus]:
        """Ask Asterisk how much is queued; the future gets MediaError if the socket closes."""
        future: asyncio.Future[QueueStatus] = asyncio.get_running_loop().create_future()
        if self.closed or not self._put(format_command("GET_STATUS", None, self._control)):
            _refuse(future, f"{self._name}: the media socket is closed")
        else:
            self._statuses.append(future)
        return future

    async def status(self, within: float = OPEN_TIMEOUT) -> QueueStatus:
        """Ask Asterisk how much is queued. Raises MediaError without an answer in time."""
        try:
            async with asyncio.timeout(within):
                return await self.ask()
        except TimeoutError as error:
            raise MediaError(f"{self._name}: no STATUS within {within:g} s") from error

    async def aclose(self) -> None:
        """Close the socket, which hangs its channel up, and end its tasks. May be called twice."""
        self._closed = True
        self._outgoing.clear()
        self._resolve_marks()
        self._refuse_waiting("closed")
        tasks, self._tasks = self._tasks, []
        own = asyncio.current_task()
        for task in tasks:
            if task is not own:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task is not own), return_exceptions=True)
        if self._ws is not None:
            # Asterisk answers a close frame; a dead one does not, and is not waited for.
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await self._ws.close()

    def _put(self, item: bytes | str) -> bool:
        """Append to what the transmitting task sends; a writer far behind is a broken socket."""
        if len(self._outgoing) >= _MAX_OUTGOING:
            self._end("Asterisk does not take the audio")
            return False
        self._outgoing.append(item)
        self._wake.set()
        return True

    async def _transmit(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while not self._closed:
                while self._outgoing:
                    item = self._outgoing.popleft()
                    if isinstance(item, bytes):
                        await ws.send_bytes(item)
                        self.counts.sent += 1
                    else:
                        await ws.send_str(item)
                self._wake.clear()
                await self._wake.wait()
        except (aiohttp.ClientError, OSError) as error:
            self._end(f"sending failed: {error!r}")

    async def _receive(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for message in ws:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.counts.received += 1
                    self._on_audio(message.data, loop.time())
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self._handle(message.data, loop.time())
                else:
                    break
        except (aiohttp.ClientError, OSError) as error:
            self._end(f"receiving failed: {error!r}")
        else:
            self._end(f"closed by Asterisk ({ws.close_code})")

    def _handle(self, text: str, now: float) -> None:
        """Act on one control message."""
        try:
            event, fields = parse_control(text)
        except ValueError as error:
            self._complain(str(error))
            return
        if event == "MEDIA_MARK_PROCESSED":
            mark = self._marks.pop(fields.get("correlation_id", ""), None)
            if mark is not None and not mark.done():
                mark.set_result(now)
        elif event == "MEDIA_START":
            self._start(fields)
        elif event == "MEDIA_XOFF":
            self._xoff = True
            self.counts.xoff += 1
        elif event == "MEDIA_XON":
            self._xoff = False
        elif event == "STATUS":
            self._report(fields)
        elif event == "ERROR":
            self._complain(fields.get("error_text", text))

    def _start(self, fields: dict[str, str]) -> None:
        """Compare Asterisk's frame with ours, and let ``open()`` return."""
        if self._started is None or self._started.done():
            return
        self.channel_id = fields.get("channel_id")
        size = fields.get("optimal_frame_size")
        if size == str(self._format.frame_bytes):
            self._started.set_result(None)
            return
        self._started.set_exception(
            MediaError(
                f"{self._name}: the channel has frames of {size} bytes "
                f"({fields.get('format')}), not {self._format.frame_bytes}; "
                f"create it with format {self._format.asterisk_name}"
            )
        )

    def _report(self, fields: dict[str, str]) -> None:
        """Answer the oldest ``ask()``."""
        if not self._statuses:
            return
        future = self._statuses.popleft()
        try:
            status = QueueStatus(
                queue_length=int(fields["queue_length"]),
                queue_full=fields.get("queue_full") == "true",
                paused=fields.get("media_paused") == "true",
            )
        except (KeyError, ValueError):
            self._complain(f"STATUS without a queue length: {fields}")
            _refuse(future, f"{self._name}: unreadable STATUS: {fields}")
            return
        if not future.done():
            future.set_result(status)

    def _complain(self, reason: str) -> None:
        self.counts.errors += 1
        _log.warning("%s: %s", self._name, reason)

    def _resolve_marks(self) -> None:
        """Tell all who wait for a mark that it will not be played."""
        marks, self._marks = self._marks, {}
        for mark in marks.values():
            if not mark.done():
                mark.set_result(None)

    def _refuse_waiting(self, reason: str) -> None:
        """Fail ``open()`` and ``ask()`` where they are waited for."""
        waiting: list[asyncio.Future[None] | asyncio.Future[QueueStatus]] = [*self._statuses]
        self._statuses.clear()
        if self._started is not None and self._tasks:
            waiting.append(self._started)
        for future in waiting:
            _refuse(future, f"{self._name}: {reason}")

    def _end(self, reason: str) -> None:
        """Note that the socket is gone; the tasks end by themselves or in ``aclose()``."""
        if self._closed:
            return
        self._closed = True
        self._outgoing.clear()
        self._wake.set()
        self._resolve_marks()
        started = self._started is not None and self._started.done()
        self._refuse_waiting(reason)
        if started and self._on_closed is not None:
            self._on_closed(reason)
