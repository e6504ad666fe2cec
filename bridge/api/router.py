"""From a request to the function that carries it out, and from what that returns to an answer.

A handler is an async function of one argument::

    @handles(operations.SHOW_CALL)
    async def show_call(asked: Asked[NoBody, NoQuery]) -> CallView:
        return visible(asked.service, asked.principal, asked.path["call_id"])

It returns what the operation answers with, None where that is nothing, or a File. What it raises
of ``bridge.model.errors`` is told as a problem; anything else would be this server's own fault.

A socket is a function of the service and the request, by its path below ``/api/v1``; it sees to
everything itself::

    @socket(frames.EVENTS_SOCKET)
    async def events(service: Service, request: web.Request) -> web.StreamResponse: ...

The order in which a request is looked at: path and method, who asks, how often, whether he may,
whether the daemon takes commands, what he says, whether he has said it before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

from aiohttp import hdrs, web

from bridge.api import answers, auditing, decoding, idempotency
from bridge.api.answers import Answer
from bridge.api.auth.principal import Principal
from bridge.api.context import PRINCIPAL
from bridge.api.patience import ENDS_WITH_WHO_ASKS, as_long_as_asked
from bridge.api.service import Service
from bridge.model.context import CALL_ID
from bridge.model.errors import CallbridgeError, DrainingError, ErrorCode, ForbiddenError
from bridge.protocol.operations import Operation
from bridge.protocol.permissions import Role
from bridge.runtime.audit import acting

B_co = TypeVar("B_co", covariant=True)
Q_co = TypeVar("Q_co", covariant=True)
H = TypeVar("H", bound=Callable[..., Awaitable[Any]])

NoBody: TypeAlias = None
NoQuery: TypeAlias = None

Handler: TypeAlias = Callable[["Asked[Any, Any]"], Awaitable[Any]]
Socket: TypeAlias = Callable[[Service, web.Request], Awaitable[web.StreamResponse]]
S = TypeVar("S", bound=Socket)

NOBODY: Final = Principal(name="", role=Role.OBSERVER, tenant="")
"""Who asks what is open to everybody: he sees no tenant's calls."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[B_co, Q_co]):
    """One request. path: what stands in it, by parameter. query, body: None where there is none.

    mark: of one that is to happen once; None when it may happen again.
    """

    service: Service
    principal: Principal
    operation: Operation
    path: Mapping[str, str]
    query: Q_co
    body: B_co
    mark: idempotency.Mark | None = None


@dataclass(frozen=True, slots=True)
class File:
    """An answer that is a file of the server."""

    path: Path
    content_type: str


HANDLERS: Final[dict[str, Handler]] = {}
"""By ``operation_id``."""


def handles(operation: Operation) -> Callable[[H], H]:
    """Make a function the one that carries an operation out."""

    def register(handler: H) -> H:
        before = HANDLERS.get(operation.operation_id)
        # The same one comes again when its module is loaded again.
        if before is not None and before.__module__ != handler.__module__:
            msg = f"{operation.operation_id} has a handler in {before.__module__}"
            raise ValueError(msg)
        HANDLERS[operation.operation_id] = handler
        return handler

    return register


DRAINING_SECONDS: Final = 5.0
"""When a daemon that is about to stop has likely been followed by the next."""

OF_LIVE_CALLS: Final = frozenset({"calls", "parties", "observers", "transfers", "recordings"})
"""Tags of operations that find calls, or do not."""

SOCKETS: Final[dict[str, Socket]] = {}
"""By path below ``/api/v1``."""


def socket(path: str) -> Callable[[S], S]:
    """Make a function the one that serves the WebSocket of a path."""

    def register(function: S) -> S:
        if path in SOCKETS:
            msg = f"{path} has a function"
            raise ValueError(msg)
        SOCKETS[path] = function
        return function

    return register


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation as aiohttp calls it."""

    operation: Operation
    handler: Handler
    service: Service
    kept: idempotency.IdempotentAnswers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; never raise what is a CallbridgeError."""
        try:
            answer = await self._answer(request)
        except CallbridgeError as error:
            answer = answers.refused(error)
        except decoding.TooLargeError as error:
            answer = answers.problem(
                web.HTTPRequestEntityTooLarge.status_code,
                ErrorCode.BAD_ARGUMENT,
                str(error),
                headers={hdrs.CONNECTION: "close"},
            )
        except decoding.ContentTypeError:
            answer = answers.problem(
                web.HTTPUnsupportedMediaType.status_code,
                ErrorCode.BAD_ARGUMENT,
                "a body is JSON: Content-Type: application/json",
            )
        if isinstance(answer, File):
            return web.FileResponse(answer.path, headers={hdrs.CONTENT_TYPE: answer.content_type})
        return answer.response()

    async def _answer(self, request: web.Request) -> Answer | File:
        principal = await self._who(request)
        operation = self.operation
        path = decoding.path_of(request)
        if operation.permission is not None:
            try:
                principal.require(operation.permission)
            except ForbiddenError as error:
                auditing.note(self.service, principal, operation, path.get("call_id"), str(error))
                raise
        if self.is_command and self.service.draining:
            raise DrainingError("this daemon is about to stop", retry_after=DRAINING_SECONDS)
        query = decoding.query_of(request, operation.query)
        raw = await decoding.raw_body_of(request, operation)
        body = decoding.body_of(raw, request.content_type, operation)
        asked: Asked[Any, Any] = Asked(
            service=self.service,
            principal=principal,
            operation=operation,
            path=path,
            query=query,
            body=body,
        )
        if operation.tag in OF_LIVE_CALLS:
            await self.service.taken_up()
        work = self._once(request, asked, raw)
        if operation.operation_id in ENDS_WITH_WHO_ASKS:
            return await as_long_as_asked(request, work)
        return await work

    async def _once(
        self, request: web.Request, asked: Asked[Any, Any], raw: bytes
    ) -> Answer | File:
        """Carry out, but only once for what has a key. raw: the body as it came."""
        key = request.headers.get(idempotency.HEADER)
        if key is None or not self.operation.idempotent_by_key:
            return await self._carry_out(asked)
        name = idempotency.Name("\0".join(asked.principal.identity), idempotency.checked_key(key))
        same = idempotency.fingerprint(request.method, request.path_qs, raw)
        marked = replace(asked, mark=idempotency.Mark.of(name, same))
        return await self.kept.once(name, same, lambda: self._told(marked))

    async def _told(self, asked: Asked[Any, Any]) -> Answer:
        """Carry out, and return what it raises as an answer, too."""
        try:
            answer = await self._carry_out(asked)
        except CallbridgeError as error:
            return answers.refused(error)
        if isinstance(answer, File):
            msg = f"{self.operation.operation_id} answers with a file: its answer is not kept"
            raise TypeError(msg)
        return answer

    async def _carry_out(self, asked: Asked[Any, Any]) -> Answer | File:
        call_id = asked.path.get("call_id")
        try:
            with acting(asked.principal.name):
                answer = await self.handler(asked)
        except BaseException as error:
            self._note(asked, CALL_ID.get() or call_id, str(error) or type(error).__name__)
            raise
        # The path may have named it otherwise than by its id, or not at all.
        which = CALL_ID.get() or call_id or getattr(answer, "call_id", None)
        self._note(asked, which, auditing.DONE)
        return answer if isinstance(answer, File) else answers.shown(answer, self.operation.status)

    def _note(self, asked: Asked[Any, Any], call_id: str | None, result: str) -> None:
        if self.is_command:
            auditing.note(self.service, asked.principal, self.operation, call_id, result)

    @property
    def is_command(self) -> bool:
        """Whether the operation changes something."""
        return self.operation.method != hdrs.METH_GET

    async def _who(self, request: web.Request) -> Principal:
        if self.operation.open:
            return NOBODY
        service = self.service
        principal = await service.authenticator.authenticate(
            request.headers, remote=request.remote or ""
        )
        PRINCIPAL.set(principal.name)
        service.rate_limits.check(principal, read=not self.is_command)
        return principal
