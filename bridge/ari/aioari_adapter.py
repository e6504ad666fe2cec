"""Programs written for aioari, on this transport: REST over the WebSocket, reconnects, ids.

``client = await connect(url, username, password, application="hello")`` stands for
``aioari.connect(url, username, password)``; everything else of such a program stays as it is.
``client.run(apps=...)`` must name that same application; it goes on through lost links and ends
with ``client.close()``. A refused request raises what aioari raises for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import msgspec
from aiohttp import web_exceptions

from bridge.ari.connection import AriConnection
from bridge.ari.settings import AriSettings
from bridge.ari.state import LinkState, LinkStatus
from bridge.model.errors import (
    BadArgumentError,
    CapabilityError,
    InvalidStateError,
    RequestFailedError,
)

log = logging.getLogger(__name__)

EVENT_LIMIT = 10_000
"""Events that wait for a program; one that falls further behind has its run() ended."""
OK = 200
NO_CONTENT = 204
_FINAL = {LinkStatus.REPLACED, LinkStatus.CLOSED}
_ENDED = aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)


class AdapterResponse:
    """As much of an HTTP response as aioari and programs written for it look at."""

    def __init__(self, value: object) -> None:
        self.status = NO_CONTENT if value is None else OK
        self.status_code = self.status
        self.reason = "No Content" if value is None else "OK"
        self._value = value

    async def text(self) -> str:
        """Return the body."""
        return "" if self._value is None else msgspec.json.encode(self._value).decode()

    async def json(self) -> object:
        """Return the body, decoded."""
        return self._value

    async def read(self) -> bytes:
        """Return the body as bytes."""
        return (await self.text()).encode()

    def close(self) -> None:
        """Do nothing: the body was read."""


class AdapterSocket:
    """The events of a connection as aioari reads them: it looks like a WebSocket."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue(EVENT_LIMIT)
        self._closed = False

    @property
    def ended(self) -> bool:
        """Whether no further event is taken."""
        return self._closed

    async def receive(self) -> aiohttp.WSMessage:
        """Return the next event; CLOSED after the last one."""
        if self._closed and self._messages.empty():
            return _ENDED
        return await self._messages.get()

    async def close(self) -> None:
        """End: whoever waits gets CLOSED."""
        self.end()

    def end(self) -> None:
        """Let ``receive`` return CLOSED when it has returned the rest."""
        if not self._closed:
            self._closed = True
            if not self._messages.full():
                self._messages.put_nowait(_ENDED)

    def put(self, text: str) -> None:
        """Take an event; the reader that is too far behind is ended and told so in the log."""
        if self._closed:
            return
        if self._messages.full():
            log.error("the program is %d events behind: its run() ends", EVENT_LIMIT)
            self.end()
            return
        self._messages.put_nowait(aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, text, None))


class AdapterHttpClient:
    """The ``http_client`` of ``aioari.Client(base_url, http_client)``, on our connection."""

    def __init__(self, settings: AriSettings) -> None:
        self._sockets: set[AdapterSocket] = set()
        self.connection = AriConnection(
            settings,
            on_event=lambda _event: None,
            on_message=self._take,
            on_state=self._follow,
        )

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        data: str | None = None,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - aioari's signature
    ) -> AdapterResponse:
        """Send one request. Raises aiohttp's exception of that status, as aioari does."""
        resource = urlsplit(url).path.partition("/ari/")[2]
        body = msgspec.json.decode(data) if data else None
        try:
            value = await self.connection.request(method, resource, query=params, body=body)
        except RequestFailedError as error:
            raise _as_aioari_raises(error) from error
        return AdapterResponse(value)

    async def ws_connect(self, url: str, params: Mapping[str, str] | None = None) -> AdapterSocket:
        """Begin to hand out events.

        Raises BadArgumentError for another application's, InvalidStateError when none will come.
        """
        asked = (params or {}).get("app") or "".join(parse_qs(urlsplit(url).query).get("app", []))
        ours = self.connection.settings.application
        if asked != ours:
            raise BadArgumentError(
                f"run(apps={asked!r}): this client was connected with application={ours!r}; give "
                "the same name in both places"
            )
        state = self.connection.state
        if state.status in _FINAL:
            raise InvalidStateError(f"no event will come any more: {state.reason}")
        self._sockets = {socket for socket in self._sockets if not socket.ended}
        socket = AdapterSocket()
        self._sockets.add(socket)
        return socket

    async def close(self) -> None:
        """End every run() and the connection."""
        await self.connection.close()

    def _take(self, text: str) -> None:
        # The answers to requests are no news to a program.
        if not text.startswith('{"type":"RESTResponse"'):
            for socket in self._sockets:
                socket.put(text)

    def _follow(self, state: LinkState) -> None:
        if state.status in _FINAL:
            for socket in self._sockets:
                socket.end()
            self._sockets.clear()


async def connect(base_url: str, username: str, password: str, *, application: str) -> Any:  # noqa: ANN401 - aioari.Client has no type information
    """Open a connection and return an ``aioari.Client`` that rides on it.

    Raises CapabilityError without the extra ``aioari``, and what ``AriConnection.open`` raises.
    """
    try:
        from aioari import Client
    except ImportError as error:
        raise CapabilityError(
            "aioari is not installed: pip install 'callbridge[aioari]'"
        ) from error
    settings = AriSettings(base_url, username, password, application=application)
    http_client = AdapterHttpClient(settings)
    await http_client.connection.open()
    try:
        client = Client(f"{settings.root}/", http_client)
        await client.init()
    except BaseException:
        await http_client.close()
        raise
    return client


def _as_aioari_raises(error: RequestFailedError) -> Exception:
    """Return the aiohttp exception of this status, with Asterisk's words as its text."""
    found = [
        kind
        for name in web_exceptions.__all__
        if isinstance(kind := getattr(web_exceptions, name), type)
        and issubclass(kind, web_exceptions.HTTPError)
        and kind.status_code == error.status
    ]
    kind = found[0] if found else web_exceptions.HTTPInternalServerError
    said = " ".join(error.reason.split())
    if issubclass(kind, web_exceptions.HTTPMethodNotAllowed):
        return kind(method=error.method, allowed_methods=(), reason=said, text=said)
    if issubclass(kind, web_exceptions.HTTPRequestEntityTooLarge):
        return kind(max_size=0, reason=said, text=said)
    if issubclass(kind, web_exceptions.HTTPUnavailableForLegalReasons):
        return kind(link=None, reason=said, text=said)
    return kind(reason=said, text=said)
