"""The fake's HTTP server: plain REST, REST over the events WebSocket, events and media."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
from aiohttp import web

from bridge.lab.fake_ari import routes, routes_bridges, routes_channels
from bridge.lab.fake_ari.applications import ASTERISK_ID
from bridge.lab.fake_ari.calls import FakeCall
from bridge.lab.fake_ari.failures import Failures, Fault, Rule
from bridge.lab.fake_ari.hearing import hearing
from bridge.lab.fake_ari.objects import FakeChannel, Json, Refusal, now_text
from bridge.lab.fake_ari.router import Request, Server, dispatch
from bridge.lab.fake_ari.world import World

USERNAME = "callbridge"
PASSWORD = "not a secret"  # noqa: S105 - of a server that lives in a test
MAX_BODY = 40_960
"""Bytes of a body in plain REST (main/http.c, MAX_CONTENT_LENGTH)."""
MAX_FRAME = 65_527
"""Bytes of a message on the events WebSocket: http_websocket.h, AST_WEBSOCKET_MAX_RX_PAYLOAD_SIZE,
less the header of such a frame. A longer one costs the socket (code 1009)."""
OUTBOX_LIMIT = 10_000
"""Messages that wait for one reader; a slower one is disconnected."""
RECEIVED_LIMIT = 10_000
"""Requests that are remembered."""
RESOURCES = (routes, routes_channels, routes_bridges)
"""Modules whose import registers what the server can do."""


@dataclass(frozen=True)
class Received:
    """A request that the fake was sent."""

    method: str
    resource: str
    query: dict[str, str]
    body: object = None
    over_websocket: bool = False


@dataclass
class _Session:
    """One events WebSocket."""

    ws: web.WebSocketResponse
    application: str
    transport: asyncio.Transport | None
    outbox: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(OUTBOX_LIMIT))

    def abort(self) -> None:
        """Cut the connection without a goodbye."""
        if self.transport is not None:
            self.transport.abort()


class _DropError(Exception):
    """The connection shall drop."""


class FakeAri:
    """A fake Asterisk on a local port; ``async with FakeAri() as fake: … fake.url …``.

    ``world`` holds what stands, ``failures`` what shall go wrong, ``received`` what was asked.
    """

    def __init__(
        self, *, rest_over_websocket: bool = True, server: Server | None = None, port: int = 0
    ) -> None:
        """port: the local one; 0: any that is free."""
        self.username = USERNAME
        self.password = PASSWORD
        self.server = server or Server()
        self.rest_over_websocket = rest_over_websocket
        """False: like a server older than 22.4, which ignores what it is sent there."""
        self.failures = Failures()
        self.received: deque[Received] = deque(maxlen=RECEIVED_LIMIT)
        self.world = World(self._send)
        self._sessions: dict[str, _Session] = {}
        self._runner: web.AppRunner | None = None
        self._port = port
        self._leaving = asyncio.Event()

    @property
    def port(self) -> int:
        """The local port."""
        return self._port

    @property
    def url(self) -> str:
        """The address of ARI."""
        return f"http://127.0.0.1:{self._port}/ari"

    @property
    def applications(self) -> set[str]:
        """Names of the applications that are registered."""
        return set(self._sessions)

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        app = web.Application()
        app.router.add_get("/ari/events", self._events)
        app.router.add_get("/media/{id}", self._media)
        app.router.add_route("*", "/ari/{resource:.*}", self._rest)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End everything."""
        self._leaving.set()
        await self.world.stop()
        self.drop_sockets()
        if self._runner is not None:
            await self._runner.cleanup()

    def incoming_call(
        self, *, caller: str = "1001", number: str = "1002", application: str = "callbridge"
    ) -> FakeChannel:
        """Let a phone dial a number that reaches the application."""
        return self.world.incoming(caller, number, application)

    def phone_dials(self, caller: str, number: str) -> FakeChannel:
        """Let a phone dial what leads somewhere in the dialplan: see ``Dialplan.run``."""
        channel = self.world.calls.ring_in(caller, number)
        self.world.dialplan.run(channel, "phones", number)
        return channel

    def place_call(self, caller: str = "1001", callee: str = "1002") -> FakeCall:
        """Let a phone call another without any application, as the dialplan's Dial() does."""
        return self.world.calls.place(caller, callee)

    def phone_is_silent(self, identity: str, *, on: bool = True) -> None:
        """Let the phone on a channel send no RTP at all, or send again."""
        self.world.channels[identity].silent = on

    def channel_answers(self, identity: str) -> None:
        """Let whoever is rung on a channel answer."""
        self.world.dialling.answered(self.world.channels[identity])

    def channel_refuses(self, identity: str, cause: int = 17) -> None:
        """Let whoever is rung on a channel refuse; ``cause`` in Q.850."""
        self.world.dialling.refused(self.world.channels[identity], cause)

    def channel_hangs_up(self, identity: str, cause: int | None = None) -> None:
        """Let the party on a channel hang up; ``cause`` in Q.850."""
        self.world.end(self.world.channels[identity], cause)

    def channel_presses(self, identity: str, digits: str) -> None:
        """Let the party on a channel press keys."""
        self.world.calls.press(identity, digits)

    def channel_holds(self, identity: str, *, on: bool = True) -> None:
        """Let the phone on a channel hold its call, or end that."""
        self.world.calls.hold(identity, on=on)

    def channel_transfers(self, identity: str, number: str) -> FakeChannel | None:
        """Let the phone on a channel transfer its peer to another phone; return that one's channel.

        None if it has none.
        """
        return self.world.calls.transfer(identity, number)

    def channel_transfers_to(self, identity: str, consult: str) -> None:
        """Let a phone join those that it talks to on two channels, and leave."""
        self.world.calls.transfer_to_call(identity, consult)

    def channel_parks(self, identity: str) -> str:
        """Let the phone on a channel park its peer; return the slot's number."""
        return self.world.calls.park(identity)

    def retrieve_call(self, caller: str, slot: str) -> FakeCall:
        """Let a phone fetch whoever is parked in a slot."""
        return self.world.calls.retrieve(caller, slot)

    def drop_sockets(self, application: str | None = None) -> None:
        """Cut the events WebSocket of an application, or every one, without a goodbye."""
        for session in list(self._sessions.values()):
            if application in {None, session.application}:
                session.abort()
                self._gone(session)

    def restart(self) -> None:
        """Forget everything, as a server that was started again has."""
        self.drop_sockets()
        self.world.applications.known.clear()
        for channel in list(self.world.channels.values()):
            self.world.end(channel)
        self.world.channels.clear()
        self.world.lingering.clear()
        self.world.bridges.clear()
        self.world.playbacks.clear()
        self.server.startup_time = now_text()

    def send_raw(self, application: str, text: str) -> None:
        """Send a message as it is, whatever it is."""
        self._sessions[application].outbox.put_nowait(text.encode())

    def hearing(self) -> dict[str, dict[str, int]]:
        """Return who hears whom, and by how many ways: ids of channels; see ``hearing``."""
        return hearing(self.world)

    def remains(self) -> list[str]:
        """Return the ids of all channels and bridges; none after a test that left nothing.

        An empty parking lot does not count: a used one stays.
        """
        bridges = self.world.bridges.values()
        kept = [b.id for b in bridges if b.channels or b.bridge_class != "parking"]
        return [*self.world.listed(), *kept]

    def count(self, method: str, resource: str) -> int:
        """Count the requests received for exactly this resource."""
        return sum(1 for r in self.received if (r.method, r.resource) == (method, resource))

    def _send(self, application: str, event: Json) -> None:
        session = self._sessions.get(application)
        if session is None:
            return
        for delay_s in self.failures.fate(str(event["type"]), application):
            if delay_s > 0:
                self.world.later(delay_s, lambda: self._post(session, event))
            else:
                self._post(session, event)

    def _post(self, session: _Session, message: Json) -> None:
        try:
            session.outbox.put_nowait(msgspec.json.encode(message))
        except asyncio.QueueFull:
            session.abort()

    def _admits(self, request: web.Request) -> bool:
        token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {token}"

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if not self._admits(request):
            return _refusal(Refusal(401, "Authentication required"))
        application = request.query.get("app", "")
        if not application:
            return _refusal(Refusal(400, "HTTP request is missing param: [app]"))
        ws = web.WebSocketResponse(max_msg_size=MAX_FRAME)
        await ws.prepare(request)
        session = _Session(ws, application, request.transport)
        before = self._sessions.get(application)
        if before is not None:
            event: Json = {"type": "ApplicationReplaced", "timestamp": now_text()}
            event |= {"application": application, "asterisk_id": ASTERISK_ID}
            self._post(before, event)
        self._sessions[application] = session
        subscribe_all = request.query.get("subscribeAll", "").lower() in {"true", "yes", "1"}
        self.world.applications.connect(application, subscribe_all=subscribe_all)
        async with _running(self._send_all(session)):
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT and self.rest_over_websocket:
                    await self._rest_over_websocket(session, message.data)
        self._gone(session)
        return ws

    def _gone(self, session: _Session) -> None:
        """Note that a session has ended; one that was replaced is nobody's any more."""
        if self._sessions.get(session.application) is session:
            del self._sessions[session.application]
            self.world.applications.disconnect(session.application)

    async def _send_all(self, session: _Session) -> None:
        while True:
            data = await session.outbox.get()
            try:
                await session.ws.send_frame(data, aiohttp.WSMsgType.TEXT)
            except ConnectionError:
                return

    async def _rest_over_websocket(self, session: _Session, text: str) -> None:
        message = msgspec.json.decode(text, type=dict[str, object])
        pairs = msgspec.convert(message.get("query_strings", []), list[dict[str, str]])
        body = message.get("message_body")
        request = Request(
            method=str(message.get("method")),
            resource=str(message.get("uri")),
            query={pair["name"]: pair["value"] for pair in pairs},
            body=msgspec.json.decode(str(body)) if body else None,
        )
        try:
            status, reason, value = await self._carry_out(request, over_websocket=True)
        except _DropError:
            session.abort()
            return
        answer: Json = {
            "type": "RESTResponse",
            "transaction_id": message.get("transaction_id", ""),
            "request_id": message.get("request_id", ""),
            "status_code": status,
            "reason_phrase": reason,
            "uri": request.resource,
            "application": session.application,
            "timestamp": now_text(),
            "asterisk_id": ASTERISK_ID,
        }
        if value is not None:
            answer["content_type"] = "application/json"
            answer["message_body"] = msgspec.json.encode(value).decode()
        if self.world.applications.wants(session.application, "RESTResponse"):
            self._post(session, answer)

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        if not self._admits(request):
            return _refusal(Refusal(401, "Authentication required"))
        body = await request.read()
        if len(body) > MAX_BODY:
            return _refusal(Refusal(413, "Request body too large"))
        asked = Request(
            method=request.method,
            resource=request.rel_url.raw_path.removeprefix("/ari/"),
            query=dict(request.query),
            body=msgspec.json.decode(body) if body else None,
        )
        try:
            status, reason, value = await self._carry_out(asked, over_websocket=False)
        except _DropError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(
            status=status,
            reason=reason,
            body=None if value is None else msgspec.json.encode(value),
            content_type="application/json",
        )

    async def _carry_out(
        self, request: Request, *, over_websocket: bool
    ) -> tuple[int, str, object]:
        """Return status, reason and JSON value. Raises _DropError."""
        self.received.append(
            Received(
                request.method, request.resource, dict(request.query), request.body, over_websocket
            )
        )
        rule = self.failures.take(request.method, request.resource)
        try:
            if rule is not None:
                await self._fail(rule)
            status, value = dispatch(self.world, self.server, request)
        except Refusal as refusal:
            phrase = HTTPStatus(refusal.status).phrase
            return refusal.status, phrase, {"message": refusal.reason}
        if rule is not None and rule.fault is Fault.DROP_AFTER:
            raise _DropError
        return status, HTTPStatus(status).phrase, value

    async def _fail(self, rule: Rule) -> None:
        if rule.fault is Fault.REFUSE:
            raise Refusal(rule.status, rule.reason)
        if rule.fault is Fault.DROP_BEFORE:
            raise _DropError
        if rule.fault is Fault.DELAY:
            # A fake that is left does not keep its delays.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rule.seconds):
                    await self._leaving.wait()

    async def _media(self, request: web.Request) -> web.StreamResponse:
        wanted = request.match_info["id"]
        channel = self.world.dialling.media_channel(wanted)
        if channel is None or channel.media is None:
            return _refusal(Refusal(404, "Not found"))
        if channel.media.connected:
            return _refusal(Refusal(409, "Conflict"))
        ws = web.WebSocketResponse(protocols=("media",))
        await ws.prepare(request)
        # Accepted first, answered then: the program may hear MEDIA_START before StasisStart.
        self.world.later(0.0, lambda: self.world.dialling.answered(channel))
        await channel.media.serve(ws)
        self.world.end(channel)
        return ws


def _refusal(refusal: Refusal) -> web.Response:
    return web.json_response({"message": refusal.reason}, status=refusal.status)


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run something beside the block, and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
