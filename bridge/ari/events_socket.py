"""One events WebSocket: events in, REST requests out and their answers back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import aiohttp

from bridge.ari.faults import UNKNOWN_OUTCOME, timed_out
from bridge.ari.generated.events import AnyMessage, ApplicationReplaced, RESTResponse
from bridge.ari.wire import MAX_WEBSOCKET_REQUEST, Answer, encode_request
from bridge.model.errors import CommandTimeoutError, ServerUnreachableError

OK = 200
CLOSING = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}


class NotSentError(Exception):
    """The request did not go out: the socket is closed, or it is too long. Another way may do."""


class EventsSocket:
    """An open events WebSocket, from the handshake to its end.

    ``read`` takes the text of every message, in order, and returns the decoded message or None;
    it must not raise. Waiting requests need no bound of their own: each has a caller that waits
    and a deadline.
    """

    def __init__(
        self,
        ws: aiohttp.ClientWebSocketResponse,
        *,
        read: Callable[[str], AnyMessage | None],
        root: str,
    ) -> None:
        self._ws = ws
        self._read = read
        self._root = root
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._numbers = itertools.count(1)
        self._replaced = False
        self.carries_rest = False
        """Whether the server was seen to answer a request on this socket."""

    async def run(self) -> str:
        """Read until the socket ends; the reason it ended for. Fails whoever still waits."""
        try:
            while not self._replaced:
                message = await self._ws.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(message.data)
                elif message.type in CLOSING:
                    return f"Asterisk closed the events WebSocket (code {self._ws.close_code})"
                elif message.type is aiohttp.WSMsgType.ERROR:
                    return f"the events WebSocket broke: {self._ws.exception()!r}"
            return "another program registered the same application"
        finally:
            self._fail_waiting()

    async def exchange(
        self,
        method: str,
        resource: str,
        pairs: list[tuple[str, str]],
        body: str | None,
        deadline_s: float,
    ) -> Answer:
        """Send a request and wait for its answer, at most ``deadline_s``.

        Raises NotSentError, CommandTimeoutError, ServerUnreachableError (outcome unknown).
        """
        request_id = str(next(self._numbers))
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = waiter
        try:
            async with asyncio.timeout(deadline_s):
                await self._send(encode_request(request_id, method, resource, pairs, body))
                return await waiter
        except TimeoutError as error:
            raise timed_out(f"{method} {resource}") from error
        finally:
            del self._waiting[request_id]

    async def probe(self, deadline_s: float) -> bool:
        """Ask for a ping on this socket, and set ``carries_rest``.

        A server older than 20.14 and 22.4 ignores what it is sent, so silence is an answer.
        """
        try:
            answer = await self.exchange("GET", "asterisk/ping", [], None, deadline_s)
        except (CommandTimeoutError, ServerUnreachableError, NotSentError):
            return False
        self.carries_rest = answer.status == OK
        return self.carries_rest

    async def close(self) -> None:
        """Close the socket; ``run`` then returns."""
        await self._ws.close()

    @property
    def replaced(self) -> bool:
        """Whether another socket has taken the application's name."""
        return self._replaced

    @property
    def closed(self) -> bool:
        """Whether nothing will be answered any more."""
        return self._ws.closed

    @property
    def usable(self) -> bool:
        """Whether a request may be sent here."""
        # Of a socket that is replaced nobody reads the answers.
        return self.carries_rest and not self._replaced and not self._ws.closed

    async def _send(self, data: bytes) -> None:
        if self._ws.closed or len(data) > MAX_WEBSOCKET_REQUEST:
            raise NotSentError
        try:
            await self._ws.send_frame(data, aiohttp.WSMsgType.TEXT)
        except aiohttp.ClientConnectionResetError as error:
            # Raised when the transport is closing already: nothing of the frame went out.
            raise NotSentError from error
        except (aiohttp.ClientError, ConnectionError) as error:
            # Raised as it waits for the buffer to empty: the frame may have gone out.
            raise self._dropped() from error

    def _take(self, text: str) -> None:
        message = self._read(text)
        if isinstance(message, ApplicationReplaced):
            # Asterisk leaves the socket open, but no event will come any more.
            self._replaced = True
        if isinstance(message, RESTResponse):
            waiter = self._waiting.get(message.request_id)
            # A caller that gave up is not waiting any more; its answer is no news to anybody.
            if waiter is not None and not waiter.done():
                answer = Answer(
                    message.status_code, message.reason_phrase, message.message_body or ""
                )
                waiter.set_result(answer)

    def _fail_waiting(self) -> None:
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(self._dropped())
                # Whoever is still sending has an error of his own, and does not wait for this one.
                waiter.exception()

    def _dropped(self) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"the events WebSocket to {self._root} dropped before the answer came; "
            f"{UNKNOWN_OUTCOME}"
        )
