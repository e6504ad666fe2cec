"""Plain REST: one HTTP request for each ARI request, and the session that all sockets share."""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from bridge.ari.faults import media_failed, request_faults
from bridge.ari.settings import AriSettings
from bridge.ari.wire import Answer
from bridge.model.errors import ServerUnreachableError

PARALLEL_REQUESTS = 32
"""Asterisk's ``sessionlimit`` is 100 by default, sockets included."""
KEEP_ALIVE_S = 4.0
"""Below Asterisk's ``session_keep_alive`` (15 s): it must not close what we are about to use."""
MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes of one message of the events WebSocket, such as the list of all channels."""


class HttpTransport:
    """The HTTP session of one connection. Made within a running event loop."""

    def __init__(self, settings: AriSettings) -> None:
        self._settings = settings
        # Sockets hold their connection for hours: the limit is on requests, by the semaphore.
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=settings.tls or True
        )
        self.session = aiohttp.ClientSession(
            connector=connector, headers={"Authorization": settings.authorization()}
        )
        self._slots = asyncio.Semaphore(PARALLEL_REQUESTS)

    async def exchange(
        self,
        method: str,
        resource: str,
        pairs: list[tuple[str, str]],
        body: str | None,
        deadline_s: float,
    ) -> Answer:
        """Send a request and read its answer within ``deadline_s``, the wait for a slot included.

        Raises ServerUnreachableError, CommandTimeoutError.
        """
        headers = {"Content-Type": "application/json"} if body is not None else None
        what = f"{method} {resource}"
        with request_faults(what, self._settings.root):
            async with (
                asyncio.timeout(deadline_s),
                self._slots,
                self._open_session(what).request(
                    method,
                    _encoded(self._settings.resource_url(resource)),
                    params=pairs,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                ) as answer,
            ):
                return Answer(answer.status, answer.reason or "", await answer.read())

    async def open_events(self, deadline_s: float) -> aiohttp.ClientWebSocketResponse:
        """Open the events WebSocket. Raises ServerUnreachableError, AuthenticationError."""
        with request_faults("opening the events WebSocket", self._settings.root):
            async with asyncio.timeout(deadline_s):
                return await self.session.ws_connect(
                    _encoded(self._settings.events_url()),
                    heartbeat=self._settings.heartbeat_s,
                    max_msg_size=MAX_MESSAGE,
                )

    async def open_media(
        self, connection_id: str, deadline_s: float
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a media WebSocket. Raises MediaError."""
        url = _encoded(self._settings.media_url(connection_id))
        try:
            async with asyncio.timeout(deadline_s):
                session = self._open_session("connecting")
                return await session.ws_connect(url, protocols=("media",))
        except (aiohttp.ClientError, OSError, TimeoutError, ServerUnreachableError) as error:
            raise media_failed(error, connection_id) from error

    async def close(self) -> None:
        """End every request and socket of the session."""
        await self.session.close()

    def _open_session(self, what: str) -> aiohttp.ClientSession:
        """Return the session, unless it was closed while ``what`` waited for its turn.

        Raises ServerUnreachableError, where aiohttp has a RuntimeError.
        """
        if self.session.closed:
            raise ServerUnreachableError(
                f"{what}: the connection to {self._settings.root} was closed before it went out"
            )
        return self.session


def _encoded(url: str) -> URL:
    """Mark an address as quoted already: a ``%2F`` within an id must stay one."""
    return URL(url, encoded=True)
