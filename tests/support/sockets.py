"""The far end of a WebSocket of the API, as a program or a dashboard has it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import msgspec

from bridge.model.states import CallState
from bridge.protocol.frames import (
    AUDIO_SOCKET,
    EVENTS_SOCKET,
    AudioProgress,
    AudioReady,
    ClientFrame,
    CutOff,
    Event,
    Resumed,
    ServerFrame,
    ServerMessage,
    Snapshot,
    Subscribe,
)
from bridge.protocol.operations import BASE
from bridge.protocol.views import CallView, EventView
from bridge.sdk import Observer
from tests.support.daemon import RunningApi

SECONDS = 5.0
F = TypeVar("F", bound=ServerFrame)


@dataclass
class Ended:
    """How a socket ended."""

    code: int | None
    cut_off: CutOff | None = None


@dataclass
class FarEnd:
    """A WebSocket, with its frames as messages. ``audio``: all binary frames that were read."""

    ws: aiohttp.ClientWebSocketResponse
    audio: list[bytes] = field(default_factory=list)

    async def say(self, message: ClientFrame) -> None:
        """Send a message in a text frame."""
        await self.ws.send_str(msgspec.json.encode(message).decode())

    async def next(self) -> ServerMessage | Ended:
        """Read one message, or the end; audio is put aside."""
        cut_off: CutOff | None = None
        async with asyncio.timeout(SECONDS):
            while True:
                got = await self.ws.receive()
                match got.type:
                    case aiohttp.WSMsgType.TEXT:
                        message: ServerMessage = msgspec.json.decode(got.data, type=ServerMessage)
                        if not isinstance(message, CutOff):
                            return message
                        cut_off = message
                    case aiohttp.WSMsgType.BINARY:
                        self.audio.append(got.data)
                    case _:
                        return Ended(self.ws.close_code, cut_off)

    def stop_reading(self, room: int = 8192) -> None:
        """Read no more, with little room for what comes. room: bytes that the kernel takes."""
        raw = self.ws.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def vanish(self) -> None:
        """Be gone without a word, as when a process dies."""
        self._transport.close()

    @property
    def _transport(self) -> asyncio.ReadTransport:
        # aiohttp shows no transport of a WebSocket's.
        connection = self.ws._response.connection
        assert connection is not None
        transport = connection.transport
        assert isinstance(transport, asyncio.ReadTransport)
        return transport

    async def ended(self) -> Ended:
        """Read to the end."""
        while True:
            got = await self.next()
            if isinstance(got, Ended):
                return got

    async def event(self) -> EventView:
        """Read the next message, which has to be an event."""
        got = await self.next()
        assert isinstance(got, Event), got
        return got.event

    async def subscribe(self, **how: Any) -> Snapshot | Resumed:
        """Subscribe, and return what is answered."""
        await self.say(Subscribe(**how))
        got = await self.next()
        assert isinstance(got, Snapshot | Resumed), got
        return got

    async def ready(self) -> AudioReady:
        """Read the next message, which has to say that audio may be sent."""
        got = await self.next()
        assert isinstance(got, AudioReady), got
        return got

    async def progress(self) -> AudioProgress:
        """Read until the next report."""
        return await self.nearest(AudioProgress)

    async def nearest(self, kind: type[F]) -> F:
        """Read until the next message of a kind; others are passed over."""
        while not isinstance(got := await self.next(), kind):
            assert not isinstance(got, Ended), got
        return got

    async def pong(self) -> None:
        """Ping, and wait for the answer; what comes before it is passed over."""
        await self.ws.ping()
        async with asyncio.timeout(SECONDS):
            while (got := (await self.ws.receive()).type) is not aiohttp.WSMsgType.PONG:
                assert got in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, got

    async def hear(self, seconds: float, rate: int) -> bytes:
        """Read audio for so long, by its own count; what came before is forgotten."""
        self.audio.clear()
        wanted = int(seconds * rate) * 2
        async with asyncio.timeout(seconds + SECONDS):
            while sum(map(len, self.audio)) < wanted:
                got = await self.ws.receive()
                assert got.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, got
                if got.type is aiohttp.WSMsgType.BINARY:
                    self.audio.append(got.data)
        return b"".join(self.audio)


@asynccontextmanager
async def far_end(
    api: RunningApi,
    path: str,
    *,
    key: str | None = "admin",
    query: Mapping[str, str] | None = None,
    autoping: bool = True,
) -> AsyncIterator[FarEnd]:
    """Open a socket below ``/api/v1``. key: of ``api.keys`` by name, or itself; None: none.

    autoping: pongs are passed over, and pings are answered.
    """
    headers = {} if key is None else {"Authorization": f"Bearer {api.keys.get(key, key)}"}
    async with api.session.ws_connect(
        api.url + BASE + path, headers=headers, params=query, max_msg_size=0, autoping=autoping
    ) as ws:
        yield FarEnd(ws)


@asynccontextmanager
async def watching(
    api: RunningApi, *, key: str = "admin", **how: Any
) -> AsyncIterator[tuple[FarEnd, Snapshot | Resumed]]:
    """Open the socket of events, and subscribe."""
    async with far_end(api, EVENTS_SOCKET, key=key) as far:
        yield far, await far.subscribe(**how)


def audio_path(call_id: str) -> str:
    """Return the path of a call's audio socket."""
    return AUDIO_SOCKET.format(call_id=call_id)


class Shown:
    """Views that are whatever a test says."""

    def __init__(self, *calls: CallView) -> None:
        self.by_id = {call.call_id: call for call in calls}

    def call(self, call_id: str) -> CallView | None:
        return self.by_id.get(call_id)

    def calls(self) -> tuple[CallView, ...]:
        return tuple(self.by_id.values())

    def last(self, call_id: str) -> CallView | None:
        return self.call(call_id)

    def observer(self, call_id: str, name: str) -> Observer | None:
        del call_id, name
        return None

    async def close(self) -> None:
        """Nothing is under way."""


def call_of(call_id: str, tenant: str = "default", queue: str = "", **more: Any) -> CallView:
    """Return the view of a call."""
    return CallView(
        call_id=call_id,
        tenant=tenant,
        queue=queue,
        own=True,
        since=0.0,
        state=CallState.CONNECTED,
        **more,
    )
