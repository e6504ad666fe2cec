"""The connection to one Asterisk: events in, commands out, for as long as the program runs."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar

import aiohttp

from bridge.ari.backoff import Backoff
from bridge.ari.capabilities import Capabilities
from bridge.ari.events_socket import EventsSocket, NotSentError
from bridge.ari.faults import is_refused
from bridge.ari.generated.events import AnyMessage, ChannelDestroyed, RESTResponse
from bridge.ari.generated.resources import Resources
from bridge.ari.http import HttpTransport
from bridge.ari.media_door import MediaDoor, door_of, past
from bridge.ari.probe import ServerInfo, probe_capabilities, probe_info
from bridge.ari.resource import Query, query_pairs, segment
from bridge.ari.settings import AriSettings
from bridge.ari.state import LinkState, LinkStatus
from bridge.ari.tracing import seen
from bridge.ari.wire import (
    FIRST_ERROR,
    Answer,
    UndecodableMessageError,
    decode_message,
    encode_body,
    read_answer,
)
from bridge.model.errors import (
    CommandTimeoutError,
    InvalidStateError,
    RequestFailedError,
    ServerError,
)

T = TypeVar("T")
log = logging.getLogger(__name__)

_REGISTRATION_LOOKS_S = (0.1, 0.4, 1.5)
"""Pauses before each look whether the application is still registered after its socket opened."""
PROBE_S = 1.5
"""How long a server may take to answer the first request on its WebSocket."""
_ASK_AGAIN_S = 0.02
BESIDE_S = 2.0
"""How long a request beside the others may take: see ``AriConnection.beside``."""


class AriConnection(Resources):
    """Events and commands of one application on one Asterisk.

    ``on_event`` and ``on_state`` are plain functions, called in order from the task that
    receives; one that raises is logged and counted (``callback_errors``), never fatal.
    ``on_message`` gets the text of every message before it is decoded. ``open()`` before
    anything else, ``close()`` at the end.
    """

    def __init__(
        self,
        settings: AriSettings,
        *,
        on_event: Callable[[AnyMessage], None],
        on_state: Callable[[LinkState], None] | None = None,
        on_message: Callable[[str], None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(self)
        self.settings = settings
        self.capabilities = Capabilities()
        """What the server can do; known after ``open()``."""
        self.unknown_events: Counter[str] = Counter()
        """Messages that could not be understood, by their type."""
        self.callback_errors = 0
        self._on_event = on_event
        self._on_state = on_state
        self._on_message = on_message
        self._backoff = backoff or Backoff()
        self._state = LinkState(LinkStatus.NEW, "open() was not called yet")
        self._info = ServerInfo()
        self._http: HttpTransport | None = None
        self._socket: EventsSocket | None = None
        self._door: MediaDoor | None = None
        self._probes: set[asyncio.Task[None]] = set()
        self.beside: Final = Resources(_Beside(self))
        """The same requests, over plain REST, each by itself.

        Asterisk carries out what comes over a WebSocket one by one: a request that waits for a lock
        that nobody gives back, such as the removal of a channel that is stuck, holds up all others
        there. Raises CommandTimeoutError after 2 s.
        """
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def state(self) -> LinkState:
        """The state of the link, as last reported."""
        return self._state

    async def open(self) -> None:
        """Connect, sign in, register the application and probe the server; once.

        Raises ServerUnreachableError, AuthenticationError, CommandTimeoutError,
        RequestFailedError, InvalidStateError if it is closed meanwhile. Nothing is left open then.
        """
        if self._state.status is not LinkStatus.NEW or self._http is not None:
            raise InvalidStateError("this connection was opened before: make another one")
        self._http = HttpTransport(self.settings)
        self._door = door_of(self.settings.root)
        try:
            socket = await self._connect()
            self._transport_http()
            self._report(LinkState(LinkStatus.UP))
            self._supervisor = asyncio.create_task(
                self._supervise(socket), name=f"ari:{self.settings.application}"
            )
            self._supervisor.add_done_callback(self._supervised)
            await self._probe_transport(socket)
            self._transport_http()
        except BaseException as error:
            is_closed = self.state.status is LinkStatus.CLOSED
            await self.close()
            if is_closed and isinstance(error, Exception):
                # Whatever aiohttp says of a session that is closed under it.
                raise InvalidStateError("close() was called before open() was done") from error
            raise

    async def close(self) -> None:
        """Close the socket and the session, end the task; waiting requests fail. Idempotent.

        Not to be awaited by a callback's own task: that would wait for itself.
        """
        if self._state.status is LinkStatus.CLOSED:
            return
        self._report(LinkState(LinkStatus.CLOSED, "close() was called"))
        tasks = [*self._probes, *([self._supervisor] if self._supervisor is not None else [])]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._socket is not None:
                await self._socket.close()
        finally:
            # Also for who gives up waiting: the next close() has nothing to do.
            if self._http is not None:
                await self._http.close()

    async def request(
        self,
        method: str,
        resource: str,
        *,
        query: Query | None = None,
        body: object = None,
        within_s: float | None = None,
        plain: bool = False,
    ) -> object:
        """Send one request and return the decoded JSON of its answer, None when it has none.

        ``resource`` is the path below ``/ari``, its parts quoted. It goes over the events
        WebSocket where the server can, by plain REST otherwise, or if it is to be ``plain``.
        Raises RequestFailedError, AuthenticationError, and, when the outcome is unknown,
        ServerUnreachableError and CommandTimeoutError: without an answer ``within_s`` seconds.
        """
        pairs = query_pairs(query)
        text = encode_body(body)
        deadline_s = self.settings.request_timeout_s if within_s is None else within_s
        with seen(method, resource):
            async with past(self._media_door(), method, resource, pairs):
                answer = await self._exchange(
                    method, resource, pairs, text, deadline_s, plain=plain
                )
                return read_answer(answer, method, resource, self.settings.root)

    async def download(self, resource: str) -> bytes:
        """GET a resource that is no JSON, such as the file of a recording.

        Raises what ``request`` raises.
        """
        http = self._transport_http()
        answer = await http.exchange("GET", resource, [], None, self.settings.request_timeout_s)
        if answer.status >= FIRST_ERROR:
            read_answer(answer, "GET", resource, self.settings.root)
        return answer.body if isinstance(answer.body, bytes) else answer.body.encode()

    def media_url(self, connection_id: str) -> str:
        """Return the WebSocket address of the media channel with this connection id."""
        return self.settings.media_url(connection_id)

    async def open_media_socket(self, connection_id: str) -> aiohttp.ClientWebSocketResponse:
        """Connect to a media channel by its MEDIA_WEBSOCKET_CONNECTION_ID. Raises MediaError."""
        http = self._transport_http()
        async with self._media_door().connecting():
            return await http.open_media(connection_id, self.settings.request_timeout_s)

    def note_whisper_to_silent_leg(self, *, verdict: bool | None, source: str) -> None:
        """Note what a higher layer measured; it holds as long as the version is the same."""
        self.capabilities = self.capabilities.with_whisper_to_silent_leg(source, verdict=verdict)

    def _transport_http(self) -> HttpTransport:
        if self._http is None or self._state.status is LinkStatus.CLOSED:
            raise InvalidStateError(
                "the connection to Asterisk is not open: await open() first, and use it no more "
                "after close()"
            )
        return self._http

    def _media_door(self) -> MediaDoor:
        self._transport_http()
        return self._door or door_of(self.settings.root)

    async def _exchange(
        self,
        method: str,
        resource: str,
        pairs: list[tuple[str, str]],
        body: str | None,
        deadline_s: float,
        *,
        plain: bool,
    ) -> Answer:
        http = self._transport_http()
        socket = None if plain else self._socket
        if socket is not None and socket.usable:
            try:
                return await socket.exchange(method, resource, pairs, body, deadline_s)
            except NotSentError:
                log.debug("%s %s cannot go over the WebSocket: plain REST", method, resource)
            except CommandTimeoutError:
                self._doubt(socket)
                raise
        return await http.exchange(method, resource, pairs, body, deadline_s)

    def _doubt(self, socket: EventsSocket) -> None:
        """Send no requests over a socket that did not answer one, until it answers again."""
        if socket.carries_rest:
            socket.carries_rest = False
            probe = asyncio.create_task(self._ask_again(socket), name="ari probe")
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)

    async def _ask_again(self, socket: EventsSocket) -> None:
        """Wait until a socket answers; what it had not answered may have been done after all.

        Requests by plain REST have overtaken it, so that what was removed may be there again.
        """
        while not socket.closed:
            await self._probe_transport(socket)
            if socket.carries_rest:
                self._report(LinkState(LinkStatus.UP, reconnected=True))
                return
            # One that is breaking just now fails without having waited for anything.
            await asyncio.sleep(_ASK_AGAIN_S)

    async def _connect(self) -> EventsSocket:
        """Sign in, look who is there, register the application. Raises ServerError."""
        http = self._transport_http()
        info = await probe_info(self._get, self.settings.root)
        if info != self._info or not info.startup_time:
            found = await probe_capabilities(self._get, info)
            measured = self.capabilities.whisper_to_silent_leg
            if measured is not None and info.version == self._info.version:
                source = self.capabilities.sources.get("whisper_to_silent_leg", "")
                found = found.with_whisper_to_silent_leg(source, verdict=measured)
            self.capabilities = found
        ws = await http.open_events(self.settings.request_timeout_s)
        self._info = info
        self._socket = EventsSocket(ws, read=self._read, root=self.settings.root)
        return self._socket

    async def _get(self, resource: str) -> object:
        http = self._transport_http()
        answer = await http.exchange("GET", resource, [], None, self.settings.request_timeout_s)
        return read_answer(answer, "GET", resource, self.settings.root)

    async def _supervise(self, socket: EventsSocket) -> None:
        """Read one socket after the other until the application is replaced or we are closed."""
        reason = await self._run(socket)
        while not socket.replaced:
            log.warning("events of Asterisk are lost until it is reached again: %s", reason)
            self._report(LinkState(LinkStatus.DOWN, reason))
            before = self._info
            socket = await self._reconnect()
            restarted = before.startup_time != self._info.startup_time
            self._report(LinkState(LinkStatus.UP, reconnected=True, restarted=restarted))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._probe_transport(socket))
                reason = await self._run(socket)
        self._report(
            LinkState(
                LinkStatus.REPLACED,
                f"another program registered the application {self.settings.application}: give "
                "each program a name of its own",
            )
        )
        await socket.close()

    def _supervised(self, task: asyncio.Task[None]) -> None:
        """Tell of an end that nobody foresaw: the link would stay as it is, without a word."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("the link to Asterisk is looked after no more", exc_info=error)
        if self._state.status is not LinkStatus.CLOSED:
            reason = f"the link is looked after no more, start the program again: {error!r}"
            self._report(LinkState(LinkStatus.DOWN, reason))

    async def _run(self, socket: EventsSocket) -> str:
        """Read a socket to its end; return why it ended."""
        looking = asyncio.create_task(self._stay_registered(socket), name="ari registration")
        try:
            return await socket.run()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _stay_registered(self, socket: EventsSocket) -> None:
        """Close a socket whose application Asterisk has forgotten, so that another is opened.

        The end of an application's last socket, cleared away late, can take with it what the next
        one has just registered: no event comes then, and nothing says so (measured on 22.10.1, in
        2 of some 2,000 sockets that were opened at once after another was closed).
        """
        for pause in _REGISTRATION_LOOKS_S:
            await asyncio.sleep(pause)
            try:
                await self._get(f"applications/{segment(self.settings.application)}")
            except RequestFailedError as error:
                if error.is_not_found:
                    log.warning("Asterisk has forgotten %s: again", self.settings.application)
                    await socket.close()
                return
            except ServerError as error:
                log.debug("not known whether the application is registered: %s", error)

    async def _reconnect(self) -> EventsSocket:
        failures = 0
        while True:
            await asyncio.sleep(self._backoff.delay_s(failures))
            try:
                return await self._connect()
            except ServerError as error:
                failures += 1
                state = LinkState(LinkStatus.DOWN, str(error), refused=is_refused(error))
                if state != self._state:
                    self._report(state)

    async def _probe_transport(self, socket: EventsSocket) -> None:
        carries_rest = await socket.probe(PROBE_S)
        self.capabilities = self.capabilities.with_rest_over_websocket(
            "asked on the events WebSocket", verdict=carries_rest
        )

    def _read(self, text: str) -> AnyMessage | None:
        """Decode a message and hand it on. Called by the socket; does not raise."""
        if self._on_message is not None:
            self._guarded(self._on_message, text)
        try:
            message = decode_message(text)
        except UndecodableMessageError as error:
            self.unknown_events[error.kind] += 1
            if self.unknown_events[error.kind] == 1:
                log.warning("an event of type %s is not understood: %s", error.kind, error)
            return None
        if isinstance(message, RESTResponse):
            return message
        if isinstance(message, ChannelDestroyed) and self._door is not None:
            self._door.ended(message.channel.id)
        self._guarded(self._on_event, message)
        return message

    def _report(self, state: LinkState) -> None:
        self._state = state
        if self._door is not None and state.status is LinkStatus.DOWN:
            self._door.forget()
        if self._on_state is not None:
            self._guarded(self._on_state, state)

    def _guarded(self, callback: Callable[[T], None], argument: T) -> None:
        try:
            callback(argument)
        except Exception:
            # A callback's fault must not end the events of everybody else.
            self.callback_errors += 1
            log.exception("a callback of the ARI connection raised")


class _Beside:
    """Carries every request by itself."""

    def __init__(self, connection: AriConnection) -> None:
        self._connection = connection

    async def request(
        self, method: str, resource: str, *, query: Query | None = None, body: object = None
    ) -> object:
        """Send; the decoded JSON of the answer, or None when it had no body."""
        return await self._connection.request(
            method, resource, query=query, body=body, within_s=BESIDE_S, plain=True
        )

    async def download(self, resource: str) -> bytes:
        """GET a resource that is not JSON."""
        return await self._connection.download(resource)
