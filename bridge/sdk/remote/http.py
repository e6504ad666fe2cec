"""Commands: one HTTP request for each operation, errors as the same command in process raises."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from bridge.model.errors import (
    CommandTimeoutError,
    ErrorCode,
    InvalidStateError,
    RequestFailedError,
    ServerUnreachableError,
)
from bridge.protocol import problems
from bridge.protocol.operations import BASE, Operation
from bridge.protocol.requests import Request
from bridge.sdk.address import DaemonAddress

T = TypeVar("T")

_log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 2.0
"""How long a command waits for a server that cannot be reached."""
USUAL_SECONDS: Final = 30.0
"""How long an answer may take, where nothing rings and nothing plays out first."""
Write = Callable[[bytes], Awaitable[None]]
"""Takes a piece of a file."""

_REFUSED: Final = 400
"""Statuses from here on are problems."""
_CONNECT_SECONDS: Final = 3.0
_HANDSHAKE_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 0.1
_CHUNK_BYTES: Final = 1 << 16

HEARTBEAT_SECONDS: Final = 5.0
"""A WebSocket from which nothing came for so long is asked whether it lives."""
_FRAME_BYTES: Final = 16 << 20
_OF_A_FILE: Final = aiohttp.ClientTimeout(
    total=None, sock_connect=_CONNECT_SECONDS, sock_read=USUAL_SECONDS
)


class Http:
    """The way to one daemon. ``open`` comes first, in a running event loop."""

    def __init__(self, address: DaemonAddress, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Http {self._address.url}>"

    async def open(self) -> None:
        """Be ready to ask; nothing is asked yet."""
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._address.key}"},
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls or True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        )

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(
        self,
        operation: Operation,
        kind: type[T],
        *,
        query: Request | None = None,
        body: Request | None = None,
        seconds: float = USUAL_SECONDS,
        **path: str,
    ) -> T:
        """Carry an operation out and return its answer.

        seconds: how long that may take. Raises the error of the same command in process, and
        ServerUnreachableError when the daemon was not reached within 2 s.
        """
        raw = await self._carry_out(operation, path, query, body, seconds)
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.MsgspecError as error:
            _log.debug("%s: %s in %r", self._address.url, error, raw[:1000])
            raise self._no_daemon(operation, path, operation.status) from None

    async def tell(
        self,
        operation: Operation,
        *,
        query: Request | None = None,
        body: Request | None = None,
        seconds: float = USUAL_SECONDS,
        **path: str,
    ) -> None:
        """Carry an operation out whose answer does not matter; raises what ``ask`` raises."""
        await self._carry_out(operation, path, query, body, seconds)

    async def fetch(self, operation: Operation, write: Write, **path: str) -> None:
        """Fetch a file in pieces. write: awaited with each. Raises what ``ask`` raises."""
        try:
            async with self._require().request(
                operation.method, self._address.url + operation.url(**path), timeout=_OF_A_FILE
            ) as response:
                if response.status >= _REFUSED:
                    self._refused(operation, path, response.status, await response.read())
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    await write(chunk)
        except aiohttp.ClientError as error:
            raise ServerUnreachableError(f"{self._address.url}: {_why(error)}") from error

    async def socket(self, path: str, **query: str) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket below ``/api/v1``.

        Raises ServerUnreachableError, and the error of a handshake that is refused.
        """
        url = self._address.url + BASE + path
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                # aiohttp's sessions deliver the handshake's status, not the body of the refusal.
                return await self._require().ws_connect(
                    url,
                    params=query,
                    heartbeat=HEARTBEAT_SECONDS,
                    max_msg_size=_FRAME_BYTES,
                    compress=0,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise _of_handshake(error) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ServerUnreachableError(f"{self._address.url}: {_why(error)}") from error

    async def _carry_out(
        self,
        operation: Operation,
        path: Mapping[str, str],
        query: Request | None,
        body: Request | None,
        seconds: float,
    ) -> bytes:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE_SECONDS
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if operation.idempotent_by_key:
            # What is sent again after a broken connection is carried out once.
            headers["Idempotency-Key"] = secrets.token_hex(16)
        while True:
            try:
                async with (
                    asyncio.timeout(seconds),
                    self._require().request(
                        operation.method,
                        self._address.url + operation.url(**path),
                        params=_parameters(query),
                        data=None if body is None else msgspec.json.encode(_said(body)),
                        headers=headers,
                    ) as response,
                ):
                    raw = await response.read()
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
                if loop.time() >= give_up:
                    raise ServerUnreachableError(
                        f"the daemon at {self._address.url} cannot be reached: {_why(error)}"
                    ) from error
                await asyncio.sleep(_AGAIN_SECONDS)
            except TimeoutError:
                raise CommandTimeoutError(
                    f"the daemon did not {operation.summary.lower()} within {seconds:g} s"
                ) from None
            else:
                if response.status >= _REFUSED:
                    self._refused(operation, path, response.status, raw)
                return raw

    def _refused(
        self, operation: Operation, path: Mapping[str, str], status: int, raw: bytes
    ) -> None:
        try:
            problem = msgspec.json.decode(raw, type=problems.Problem)
        except msgspec.MsgspecError:
            _log.debug("%s answered %d: %r", self._address.url, status, raw[:1000])
            raise self._no_daemon(operation, path, status) from None
        raise problems.error_of(problem)

    def _no_daemon(
        self, operation: Operation, path: Mapping[str, str], status: int
    ) -> RequestFailedError:
        """Return what is raised of an answer that is none of a daemon's."""
        return RequestFailedError(
            status=status,
            method=operation.method,
            resource=operation.url(**path),
            reason=f"is no answer of a daemon: see whether {self._address.url} is the address of "
            "`callbridge serve`, of about the same version",
        )

    def _require(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise InvalidStateError("not connected: use `async with Client() as client`")
        return self._session


def _said(body: Request) -> dict[str, Any]:
    """Leave out what is not said: an older daemon does not know every field."""
    whole = msgspec.to_builtins(body, builtin_types=(bytes,))
    return {
        field.encode_name: whole[field.encode_name]
        for field in msgspec.structs.fields(body)
        if getattr(body, field.name) != _default(field)
    }


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _parameters(query: Request | None) -> dict[str, str]:
    if query is None:
        return {}
    said = {name: value for name, value in _said(query).items() if value is not None}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in said.items()
    }


def _of_handshake(error: aiohttp.WSServerHandshakeError) -> Exception:
    codes = {
        401: ErrorCode.UNAUTHENTICATED,
        403: ErrorCode.FORBIDDEN,
        404: ErrorCode.NOT_FOUND,
        429: ErrorCode.RATE_LIMITED,
        503: ErrorCode.DRAINING,
    }
    if (code := codes.get(error.status)) is None:
        return ServerUnreachableError(f"the daemon refused a WebSocket: {error.status}")
    detail = f"the daemon refused the WebSocket {error.request_info.url.path}: {error.status}"
    return problems.error_for(code, detail)


def _why(error: BaseException) -> str:
    is_plain = not isinstance(error, aiohttp.ClientSSLError)
    if is_plain and isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        # What the system, or its resolver, says; aiohttp repeats the address, twice.
        number = error.os_error.errno
        return os.strerror(number) if number > 0 else str(error.strerror)
    return str(error) or type(error).__name__
