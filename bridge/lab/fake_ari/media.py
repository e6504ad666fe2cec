"""The far end of a media WebSocket, with Asterisk's queue and clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import aiohttp
from aiohttp import web

FRAME_S = 0.02
XOFF_LEVEL = 900
XON_LEVEL = 800
QUEUE_LIMIT = 1000
"""Frames; chan_websocket.c, QUEUE_LENGTH_*: a message that comes on top is dropped."""
MAX_COMMAND = 128
"""Bytes of a command; a longer one is ignored."""
_WORDS = {False: "false", True: "true"}
FRAME_BYTES = {"slin": 320, "slin16": 640, "slin24": 960, "ulaw": 160, "alaw": 160}


class FakeMedia:
    """One media channel's socket: queues what is sent, plays it at 20 ms a frame, keeps it."""

    def __init__(self, connection_id: str, channel_id: str, name: str, audio_format: str) -> None:
        self.connection_id = connection_id
        self.format = audio_format
        self.frame_bytes = FRAME_BYTES.get(audio_format, 320)
        self.played: list[tuple[float, bytes]] = []
        """Frames that the channel heard, with the event loop's time in seconds of each."""
        self.lost_bytes = 0
        """Audio that was sent and never queued."""
        self._channel_id = channel_id
        self._name = name
        self._queue: deque[bytes | str] = deque()
        self._depth = 0
        self._full = False
        self._paused = False
        self._buffering = False
        self._leftover = b""
        self._report_drained = False
        self._more = asyncio.Event()
        self._ws: web.WebSocketResponse | None = None

    @property
    def connected(self) -> bool:
        """Whether a socket is, or was, connected: there is one in a channel's life."""
        return self._ws is not None

    @property
    def depth(self) -> int:
        """Frames in the queue."""
        return self._depth

    def is_playing(self) -> bool:
        """Tell whether the last frame was played just now."""
        return bool(self.played) and _now() - self.played[-1][0] < 2 * FRAME_S

    async def hear(self, pcm: bytes) -> None:
        """Send audio to the program, as if the channel had received it from its bridge."""
        if self._ws is not None and not self._ws.closed:
            await self._ws.send_bytes(pcm)

    async def serve(self, ws: web.WebSocketResponse) -> None:
        """Run the socket until either side closes it."""
        self._ws = ws
        await ws.send_str(
            f"MEDIA_START connection_id:{self.connection_id} channel:{self._name} "
            f"channel_id:{self._channel_id} format:{self.format} "
            f"optimal_frame_size:{self.frame_bytes} ptime:20"
        )
        player = asyncio.create_task(self._play(), name=f"fake media {self._channel_id}")
        try:
            async for message in ws:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await self._take_audio(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    await self._take_command(message.data)
                self._more.set()
        finally:
            player.cancel()
            await asyncio.gather(player, return_exceptions=True)

    async def close(self) -> None:
        """Close the socket, as a hangup does."""
        if self._ws is not None and not self._ws.closed:
            await self._ws.close()

    async def _say(self, text: str) -> None:
        if self._ws is not None:
            # The program may have gone in this very moment; its absence is seen by serve().
            with contextlib.suppress(ConnectionError):
                await self._ws.send_str(text)

    async def _take_audio(self, data: bytes) -> None:
        if self._depth >= QUEUE_LIMIT:
            # The whole message is dropped, however long it is, and no word is said of it.
            self.lost_bytes += len(data)
            return
        data = self._leftover + data
        self._leftover = b""
        whole = len(data) - len(data) % self.frame_bytes
        for start in range(0, whole, self.frame_bytes):
            await self._queue_frame(data[start : start + self.frame_bytes])
        if self._buffering:
            self._leftover = data[whole:]
        else:
            # Outside buffering what is no whole frame is lost.
            self.lost_bytes += len(data) - whole

    async def _queue_frame(self, frame: bytes) -> None:
        self._queue.append(frame)
        self._depth += 1
        if not self._full and self._depth >= XOFF_LEVEL:
            self._full = True
            await self._say("MEDIA_XOFF")

    async def _take_command(self, text: str) -> None:
        if len(text.encode()) > MAX_COMMAND:
            return
        command, _, argument = text.partition(" ")
        match command:
            case "MARK_MEDIA":
                self._queue.append(f"MEDIA_MARK_PROCESSED {argument}".rstrip())
            case "FLUSH_MEDIA":
                self._queue.clear()
                self._depth = 0
                self._leftover = b""
                self._buffering = False
            case "START_MEDIA_BUFFERING":
                self._buffering = True
            case "STOP_MEDIA_BUFFERING":
                await self._stop_buffering(argument)
            case "REPORT_QUEUE_DRAINED":
                self._report_drained = True
            case "PAUSE_MEDIA" | "CONTINUE_MEDIA":
                self._paused = command == "PAUSE_MEDIA"
            case "GET_STATUS":
                await self._say(self._status())
            case "HANGUP":
                await self.close()
            case _:
                # Asterisk logs what it does not know and says nothing.
                pass

    async def _stop_buffering(self, argument: str) -> None:
        self._buffering = False
        if self._leftover:
            leftover, self._leftover = self._leftover, b""
            await self._queue_frame(leftover)
        self._queue.append(f"MEDIA_BUFFERING_COMPLETED {argument}".rstrip())

    def _status(self) -> str:
        return (
            f"STATUS channel_id:{self._channel_id} queue_length:{self._depth} "
            f"xon_level:{XON_LEVEL} xoff_level:{XOFF_LEVEL} queue_full:{_WORDS[self._full]} "
            f"bulk_media:{_WORDS[self._buffering]} media_paused:{_WORDS[self._paused]}"
        )

    async def _play(self) -> None:
        start = _now()
        tick = 0
        while True:
            tick += 1
            # Nothing is to be done as long as nothing is there to be played or told.
            if not self._queue and not self._report_drained and not self._full:
                self._more.clear()
                await self._more.wait()
                tick = int((_now() - start) / FRAME_S) + 1
            await asyncio.sleep(max(0.0, start + tick * FRAME_S - _now()))
            if not self._paused:
                await self._play_one()

    async def _play_one(self) -> None:
        if self._full and self._depth < XON_LEVEL:
            self._full = False
            await self._say("MEDIA_XON")
        if not self._queue and self._report_drained:
            self._report_drained = False
            await self._say("QUEUE_DRAINED")
        # Marks cost no time: they are reported when what was queued before them is played.
        while self._queue:
            item = self._queue.popleft()
            if isinstance(item, bytes):
                self._depth -= 1
                self.played.append((_now(), item))
                return
            await self._say(item)


def _now() -> float:
    return asyncio.get_running_loop().time()
