"""Keeps the connecting of media sockets apart from the making and ending of media channels.

Asterisk looks a connection id up in its list of media channels without taking the list's lock
(chan_websocket.c, incoming_ws_http_callback: ao2_weakproxy_find with OBJ_NOLOCK). If somebody holds
that lock for writing as the look begins, and has given it back when it ends, the look ends with
taking the lock, and nobody gives it back: no media channel can be made or ended any more, every
thread that tries is stuck, and so are requests about such channels, until Asterisk is restarted.
Measured on 22.10.1: after some 300 sockets that were connected just as another channel was made,
some 5,000 just as another ended; as the very channel ended, Asterisk died after some 400.
See docs/adr/0013.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable
from enum import Enum
from typing import Final
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from bridge.model.errors import RequestFailedError

ENDING_SECONDS: Final = 0.25
"""How long the end of a media channel may take, or its report be lost, before it is waited for no
more."""
STAY_SECONDS: Final = 1.0
"""How long one request, or one socket, may keep others waiting: a server may not answer at all."""

_ENDPOINT: Final = "WebSocket/"


class Purpose(Enum):
    """What somebody is at the door for."""

    CONNECT = "connect"
    CHANGE = "change"


class MediaDoor:
    """Lets any number in that have the same purpose, and none with the other meanwhile.

    Whoever comes waits behind those who wait already, so that nobody waits for ever.
    """

    def __init__(self, *, stay_s: float = STAY_SECONDS, ending_s: float = ENDING_SECONDS) -> None:
        self._stay_s = stay_s
        self._ending_s = ending_s
        self._purpose = Purpose.CHANGE
        """Of those who are inside."""
        self._inside: set[asyncio.TimerHandle] = set()
        """Who is inside: each is shown out when its time is over."""
        self._waiting: deque[tuple[Purpose, asyncio.Future[asyncio.TimerHandle]]] = deque()
        self._media: dict[str, asyncio.TimerHandle | None] = {}
        """The media channels that were made by way of us, and their endings."""

    @property
    def channels(self) -> frozenset[str]:
        """Ids of the media channels that were made by way of us, and whose ends may come."""
        return frozenset(self._media)

    @contextlib.asynccontextmanager
    async def connecting(self) -> AsyncIterator[None]:
        """A media socket is connected while the block runs."""
        stay = await self._enter(Purpose.CONNECT)
        try:
            yield
        finally:
            self._leave(stay)

    @contextlib.asynccontextmanager
    async def changing(self, *, makes: str = "", ends: str = "") -> AsyncIterator[None]:
        """A channel that may have media is made, or told to end, while the block runs.

        makes: the id of a media channel. ends: that of any channel; the end of one that was made
        here counts until ``ended`` tells of it.
        """
        stay = await self._enter(Purpose.CHANGE)
        if makes:
            self._media[makes] = None
        if ends in self._media and self._media[ends] is None:
            self._media[ends] = self._let_in(self._ending_s, ending=ends)
        try:
            yield
        except RequestFailedError:
            # What was refused was not made; of other errors it is not known.
            self.ended(makes)
            raise
        finally:
            self._leave(stay)

    def ended(self, channel_id: str) -> None:
        """A channel is not there any more (ChannelDestroyed)."""
        if (ending := self._media.pop(channel_id, None)) is not None:
            self._leave(ending)

    def forget(self) -> None:
        """Ends are not told of any more."""
        for channel_id in list(self._media):
            self.ended(channel_id)

    async def _enter(self, purpose: Purpose) -> asyncio.TimerHandle:
        if not self._waiting and self._admits(purpose):
            self._purpose = purpose
            return self._let_in(self._stay_s)
        admitted: asyncio.Future[asyncio.TimerHandle] = asyncio.get_running_loop().create_future()
        self._waiting.append((purpose, admitted))
        try:
            return await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self._leave(admitted.result())
            else:
                # Those behind may be let in now.
                self._admit()
            raise

    def _let_in(self, seconds: float, *, ending: str = "") -> asyncio.TimerHandle:
        """ending: the channel whose end it is; when it takes longer, it is forgotten."""
        stay: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()
        stay.append(loop.call_later(seconds, lambda: self._show_out(stay[0], ending)))
        self._inside.add(stay[0])
        return stay[0]

    def _show_out(self, stay: asyncio.TimerHandle, ending: str) -> None:
        if self._media.get(ending) is stay:
            del self._media[ending]
        self._leave(stay)

    def _leave(self, stay: asyncio.TimerHandle) -> None:
        stay.cancel()
        if stay in self._inside:
            self._inside.discard(stay)
            self._admit()

    def _admits(self, purpose: Purpose) -> bool:
        return not self._inside or purpose is self._purpose

    def _admit(self) -> None:
        """Let those in who wait longest and may enter together."""
        while self._waiting:
            purpose, admitted = self._waiting[0]
            if not admitted.done():
                if not self._admits(purpose):
                    return
                self._purpose = purpose
                admitted.set_result(self._let_in(self._stay_s))
            self._waiting.popleft()


_doors: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, MediaDoor]] = WeakKeyDictionary()


def door_of(root: str) -> MediaDoor:
    """Return the door of a server, the same for all who use it on this event loop.

    root: the server's address, such as ``http://127.0.0.1:8088``.
    """
    doors = _doors.setdefault(asyncio.get_running_loop(), {})
    return doors.setdefault(root.rstrip("/"), MediaDoor())


@contextlib.asynccontextmanager
async def past(
    door: MediaDoor, method: str, resource: str, pairs: Iterable[tuple[str, str]]
) -> AsyncIterator[None]:
    """Send a request while the block runs: past the door if it makes or ends a media channel."""
    kind, _, rest = resource.partition("/")
    is_whole = kind == "channels" and "/" not in rest
    if method == "DELETE" and is_whole and rest:
        async with door.changing(ends=unquote(rest)):
            yield
        return
    # Any of them may make one: channels, channels/ID, channels/create, channels/externalMedia.
    query = dict(pairs) if method == "POST" and is_whole else {}
    if query.get("transport") == "websocket":
        async with door.changing(makes=query.get("channelId", "")):
            yield
    elif query.get("endpoint", "").startswith(_ENDPOINT):
        async with door.changing():
            yield
    else:
        yield
