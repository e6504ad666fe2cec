"""What all sockets have in common: who is at the other end, what he may send, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket as sockets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from aiohttp import WSMsgType, hdrs, web

from bridge.api.auth.principal import Principal
from bridge.api.context import PRINCIPAL
from bridge.api.service import Service
from bridge.api.wire import close_frame, text_frame
from bridge.model.errors import (
    CallbridgeError,
    ErrorCode,
    UnauthenticatedError,
)
from bridge.protocol.frames import (
    CLOSE_BAD_FRAME,
    CLOSE_FAULT,
    CLOSE_FORBIDDEN,
    CLOSE_GOING_AWAY,
    CLOSE_NOT_FOUND,
    CLOSE_UNAUTHENTICATED,
    Authenticate,
    ClientFrame,
    ClientMessage,
    CutOff,
    ServerFrame,
)
from bridge.protocol.problems import STATUS

_log = logging.getLogger(__name__)
F = TypeVar("F", bound=ClientFrame)

AUTHENTICATE_SECONDS: Final = 5.0
"""How long who has sent no header may take to say who he is."""
MOST_SOCKETS: Final = 5000
"""Of all kinds together: each has a file descriptor, and so have calls."""
MOST_WATCHERS: Final = 4000
"""With so many sockets nobody more may watch: who speaks, or has calls, still comes in."""
AGAIN_SECONDS: Final = 30.0
"""How often it is looked whether a key is still good."""
FRAME_BYTES: Final = 1 << 16
"""Most that a client's message may have."""
LINGER_SECONDS: Final = 10.0
"""How long who is cut off has to read why."""
SEND_BYTES: Final = 1 << 16
"""Of the kernel's buffer: what it holds for who does not read is late, and takes memory."""
_HEARTBEAT_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 2.0
_CLOSE_NORMAL: Final = 1000
CLOSE_AGAIN_LATER: Final = 1013

_CLOSES: Final[Mapping[ErrorCode, int]] = {
    ErrorCode.UNAUTHENTICATED: CLOSE_UNAUTHENTICATED,
    ErrorCode.FORBIDDEN: CLOSE_FORBIDDEN,
    ErrorCode.NOT_FOUND: CLOSE_NOT_FOUND,
    ErrorCode.CALL_NOT_FOUND: CLOSE_NOT_FOUND,
    ErrorCode.BAD_ARGUMENT: CLOSE_BAD_FRAME,
    ErrorCode.CALL_CLOSED: _CLOSE_NORMAL,
    ErrorCode.DRAINING: CLOSE_GOING_AWAY,
    ErrorCode.RATE_LIMITED: CLOSE_AGAIN_LATER,
}
_FAILURES: Final = 500
"""From this HTTP status on it is no fault of who asks, and may have passed when he comes again."""


class CutOffError(Exception):
    """A socket is closed: the other end is told ``code`` and the message, by ``close``."""

    def __init__(self, code: ErrorCode, message: str, close: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.close = close_of(code) if close is None else close


class LeftError(Exception):
    """The other end has closed the socket, or is gone."""


@dataclass(frozen=True, slots=True)
class Manners:
    """What a socket lets its clients do. binary: send audio. send_bytes: of the kernel's buffer.

    most: how many sockets of all kinds there may be when one more of these comes.
    """

    send_bytes: int = SEND_BYTES
    binary: bool = False
    most: int = MOST_SOCKETS


class Link:
    """One client's socket, after the upgrade. Writing never waits."""

    def __init__(
        self, service: Service, request: web.Request, ws: web.WebSocketResponse, manners: Manners
    ) -> None:
        if request.transport is None:
            raise LeftError
        self.service = service
        self.transport: asyncio.Transport = _writable(request.transport)
        self._ws = ws
        self._manners = manners
        self.remote = request.remote or ""
        self._headers: dict[str, str] = {}
        self._given = request.headers.get(hdrs.AUTHORIZATION, "")
        self._again_at = 0.0
        self._is_cut = False
        self._end: asyncio.TimerHandle | None = None
        self.principal: Principal
        _limit_send_buffer(self.transport, manners.send_bytes)

    @property
    def closed(self) -> bool:
        """Nothing more can be sent."""
        return self._is_cut or self.transport.is_closing()

    # --- who is there ---------------------------------------------------------------------------

    async def admit(self) -> None:
        """Find out who is there. Raises CutOffError, LeftError, RateLimitedError."""
        if self.service.draining:
            self.go_away()
            raise LeftError
        most = self._manners.most
        if len(self.service.hub.enders) > most:
            raise CutOffError(
                ErrorCode.RATE_LIMITED, f"there are {most} sockets already: try again later"
            )
        await self._authenticate()
        self.service.rate_limits.check(self.principal, read=True)

    async def _authenticate(self) -> None:
        """Find out who is there, by header or first frame. Raises CutOffError, LeftError."""
        given = self._given
        if not given:
            try:
                with self.service.authenticator.waiting.enter(self.remote):
                    async with asyncio.timeout(AUTHENTICATE_SECONDS):
                        given = f"Bearer {(await self.receive_one(Authenticate)).key}"
            except TimeoutError:
                raise CutOffError(
                    ErrorCode.UNAUTHENTICATED,
                    "say who you are: by the Authorization header, or a first frame "
                    '{"type": "authenticate", "key": "…"} within '
                    f"{AUTHENTICATE_SECONDS:g} s",
                ) from None
        self._headers = {hdrs.AUTHORIZATION: given}
        try:
            self.principal = await self.service.authenticator.authenticate(
                self._headers, remote=self.remote
            )
        except CallbridgeError as error:
            raise CutOffError(error.error_code, error.error_message) from None
        PRINCIPAL.set(self.principal.name)
        self._again_at = asyncio.get_running_loop().time() + AGAIN_SECONDS

    async def _authenticate_again(self) -> None:
        """A key may have been revoked, a token may be over: look again every so often."""
        now = asyncio.get_running_loop().time()
        if not self._again_at or now < self._again_at:
            return
        self._again_at = now + AGAIN_SECONDS
        try:
            self.principal = await self.service.authenticator.authenticate(
                self._headers, remote=self.remote
            )
        except UnauthenticatedError as error:
            raise CutOffError(error.error_code, error.error_message) from None
        except CallbridgeError as error:
            # Whoever cannot be asked now is asked again; what goes on, goes on.
            _log.warning("%s: who is there cannot be looked up: %s", self.remote, error)

    # --- what comes -----------------------------------------------------------------------------

    async def receive(self) -> ClientMessage | bytes:
        """Wait for a frame: a message, or audio. Raises CutOffError for a bad one, LeftError."""
        while True:
            await self._authenticate_again()
            try:
                message = await self._ws.receive(AGAIN_SECONDS)
            except TimeoutError:
                continue
            if self._is_cut:
                raise LeftError
            match message.type:
                case WSMsgType.TEXT:
                    return _decoded(message.data)
                case WSMsgType.BINARY if self._manners.binary:
                    return bytes(message.data)
                case WSMsgType.BINARY:
                    raise CutOffError(
                        ErrorCode.BAD_ARGUMENT, "this socket takes JSON in text frames"
                    )
                case _:
                    raise LeftError

    async def receive_one(self, kind: type[F]) -> F:
        """Wait for a message of one kind. Raises CutOffError for any other, LeftError."""
        message = await self.receive()
        if not isinstance(message, kind):
            raise CutOffError(
                ErrorCode.BAD_ARGUMENT,
                f"{_shown(message)} does not belong here: {_name(kind)} does",
            )
        return message

    # --- what goes ------------------------------------------------------------------------------

    def send(self, message: ServerFrame) -> None:
        """Send a message, or keep it until it can be sent."""
        self.put(text_frame(msgspec.json.encode(message)))

    def put(self, frame: bytes) -> None:
        """Send a whole frame, or keep it until it can be sent."""
        if not self.closed:
            self.transport.write(frame)

    def go_away(self) -> None:
        """The daemon is about to stop."""
        self.cut_off(
            ErrorCode.DRAINING, "the daemon is about to stop: connect again", CLOSE_GOING_AWAY
        )

    def key_revoked(self, key_id: str) -> None:
        """Close the socket if it was opened by this key."""
        if self.principal.key_id == key_id:
            self.cut_off(ErrorCode.UNAUTHENTICATED, "the key was revoked", CLOSE_UNAUTHENTICATED)

    def cut_off(self, code: ErrorCode, message: str, close: int) -> None:
        """Close the socket, and say why; who does not read that in time never will. Idempotent."""
        if self.closed:
            return
        self.send(CutOff(code=code, message=message))
        self.transport.write(close_frame(close, code))
        self._is_cut = True
        self._end = asyncio.get_running_loop().call_later(LINGER_SECONDS, self.transport.abort)

    def fault(self) -> None:
        """Close the socket: something of ours has failed, and was logged."""
        text = "this is a fault of callbridge: see its log"
        self.cut_off(ErrorCode.REQUEST_FAILED, text, CLOSE_FAULT)

    def let_go(self) -> None:
        """Nothing more is said: what is on its way may still come, but not for ever."""
        if self._end is None and self.transport.get_write_buffer_size():
            # The network has lost him: without that it would try to reach him for minutes.
            self._end = asyncio.get_running_loop().call_later(LINGER_SECONDS, self.transport.abort)


async def serve(
    service: Service,
    request: web.Request,
    work: Callable[[Link], Awaitable[None]],
    *,
    manners: Manners | None = None,
) -> web.WebSocketResponse:
    """Upgrade a request, find out who is there, and do ``work`` until it ends.

    What it raises of CutOffError, or of callbridge's errors, is told to the other end.
    """
    manners = manners or Manners()
    ws = web.WebSocketResponse(
        timeout=_CLOSE_SECONDS,
        heartbeat=_HEARTBEAT_SECONDS,
        # What is sent is the same for many, and made once.
        compress=False,
        autoclose=False,
        max_msg_size=FRAME_BYTES,
    )
    try:
        await ws.prepare(request)
    except ConnectionError:
        raise web.HTTPBadRequest(reason="who asked has left") from None
    try:
        link = Link(service, request, ws, manners)
    except LeftError:
        return ws
    service.hub.enders.add(link.go_away)
    try:
        await link.admit()
        service.authenticator.revoked.add(link.key_revoked)
        await service.taken_up()
        await work(link)
    except LeftError:
        pass
    except CutOffError as error:
        link.cut_off(error.code, str(error), error.close)
    except CallbridgeError as error:
        link.cut_off(error.error_code, error.error_message, close_of(error.error_code))
    except Exception:  # noqa: BLE001 - a fault of ours must not become bytes on an upgraded socket
        _log.exception("%s: the socket of %s failed", request.path, link.remote)
        link.fault()
    finally:
        service.hub.enders.discard(link.go_away)
        service.authenticator.revoked.discard(link.key_revoked)
        link.let_go()
    return ws


def close_of(code: ErrorCode) -> int:
    """Return the close code that goes with an error: whether it is worth connecting again."""
    failed = STATUS.get(code, _FAILURES) >= _FAILURES
    return _CLOSES.get(code, CLOSE_AGAIN_LATER if failed else CLOSE_BAD_FRAME)


def _decoded(text: str) -> ClientMessage:
    try:
        message: ClientMessage = _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CutOffError(ErrorCode.BAD_ARGUMENT, f"this is no message: {error}") from None
    return message


def _limit_send_buffer(transport: asyncio.Transport, size: int) -> None:
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, size)


def _writable(transport: asyncio.BaseTransport) -> asyncio.Transport:
    if not isinstance(transport, asyncio.Transport):
        msg = f"a socket needs a transport to write to, not {transport!r}"
        raise TypeError(msg)
    return transport


def _shown(message: ClientMessage | bytes) -> str:
    return "audio" if isinstance(message, bytes) else _name(type(message))


def _name(kind: type[ClientFrame]) -> str:
    return repr(kind.__struct_config__.tag)


_DECODER: Final = msgspec.json.Decoder(ClientMessage)
