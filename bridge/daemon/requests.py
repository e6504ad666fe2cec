"""What the daemon notes of each request: whose call, how long, how it ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from bridge.api.context import PRINCIPAL
from bridge.model.context import CALL_ID
from bridge.protocol.frames import AUDIO_SOCKET, EVENTS_SOCKET, PROGRAM_SOCKET
from bridge.protocol.operations import BASE, OPERATIONS, Operation

_log = logging.getLogger(__name__)

OPERATION_OF: Final[Mapping[tuple[str, str], Operation]] = {
    (operation.method, BASE + operation.path): operation for operation in OPERATIONS
}
"""By method and path as the router has it."""
_SOCKETS: Final = frozenset(BASE + path for path in (AUDIO_SOCKET, EVENTS_SOCKET, PROGRAM_SOCKET))
_SERVER_FAULT: Final = 500

Noted = Callable[[str, int, float], None]
"""Told of every request: operation, HTTP status, seconds."""
Span = Callable[[Operation, str], AbstractContextManager[None]]
"""Opens a span for an operation and a call id, which may be empty."""


def no_span(_operation: Operation, _call_id: str) -> AbstractContextManager[None]:
    """Trace nothing."""
    return nullcontext()


class Requests:
    """Counts those that are under way. noted: told of each that is over; span: opens its span."""

    def __init__(self, noted: Noted, span: Span = no_span) -> None:
        self._noted = noted
        self._span = span
        self._commands = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def commands(self) -> int:
        """How many commands are under way."""
        return self._commands

    async def idle(self) -> None:
        """Return when no command is under way."""
        await self._idle.wait()

    @property
    def middleware(self) -> Middleware:
        """What aiohttp is to call around each request."""

        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            resource = request.match_info.route.resource
            canonical = "" if resource is None else resource.canonical
            operation = OPERATION_OF.get((request.method, canonical))
            # A connection's requests share a context: what the one before said is not ours.
            CALL_ID.set(request.match_info.get("call_id", ""))
            PRINCIPAL.set("")
            if operation is None or canonical in _SOCKETS:
                return await handler(request)
            return await self._carry_out(operation, request, handler)

        return around

    async def _carry_out(
        self, operation: Operation, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        is_command = operation.method != hdrs.METH_GET
        began = time.monotonic()
        self._enter(by=1 if is_command else 0)
        status = _SERVER_FAULT
        try:
            with self._span(operation, CALL_ID.get()):
                response = await handler(request)
            status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        else:
            return response
        finally:
            self._enter(by=-1 if is_command else 0)
            seconds = time.monotonic() - began
            self._noted(operation.operation_id, status, seconds)
            level = logging.INFO if is_command else logging.DEBUG
            _log.log(level, "%s: %d in %.1f ms", operation.operation_id, status, seconds * 1000)

    def _enter(self, *, by: int) -> None:
        self._commands += by
        if self._commands:
            self._idle.clear()
        else:
            self._idle.set()
