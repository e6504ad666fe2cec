"""The aiohttp application: every operation and every socket, below ``/api``."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
import secrets
from collections.abc import Iterable
from functools import partial
from types import ModuleType
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from bridge.api import answers, handlers, sockets
from bridge.api.context import REQUEST_ID
from bridge.api.idempotency import IdempotentAnswers
from bridge.api.openapi import encoded_document
from bridge.api.router import HANDLERS, SOCKETS, Endpoint
from bridge.api.service import Service
from bridge.model.errors import ErrorCode
from bridge.protocol.operations import BASE, OPERATIONS

SERVICE: Final = web.AppKey("service", Service)
OPENAPI_PATH: Final = "/api/openapi.json"
REQUEST_ID_HEADER: Final = "X-Request-Id"

_log = logging.getLogger(__name__)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PARAMETER: Final = re.compile(r"{(\w+)}")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "callbridge",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer. There are no CORS headers: no page of another origin reads anything here."""
_TLS_ONLY: Final = "max-age=31536000"


def make_app(service: Service, *, middlewares: Iterable[Middleware] = ()) -> web.Application:
    """Return the application that serves ``service``.

    middlewares: looked through inside of the one that gives every request its id.
    """
    for package in (handlers, sockets):
        load(package)
    # Made now: it takes a while, for which no call's audio shall wait.
    encoded_document()
    app = web.Application(middlewares=[framed, *middlewares])
    app[SERVICE] = service
    kept = IdempotentAnswers()
    for operation in OPERATIONS:
        if (handler := HANDLERS.get(operation.operation_id)) is not None:
            endpoint = Endpoint(operation, handler, service, kept)
            app.router.add_route(operation.method, _pattern(operation.path), endpoint.answer)
    for path, function in SOCKETS.items():
        app.router.add_route(hdrs.METH_GET, _pattern(path), partial(function, service))
    app.router.add_route(hdrs.METH_GET, OPENAPI_PATH, _openapi)
    return app


def load(package: ModuleType) -> None:
    """Import every module of a package, for what it registers."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


@web.middleware
async def framed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give a request its id, and tell what HTTP itself refuses as a problem."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    REQUEST_ID.set(request_id)
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = _problem_of(request, error).response()
    except Exception:  # noqa: BLE001 - a fault of our own: all of it to the log, and calls go on
        _log.exception("request %s: %s %s failed", request_id, request.method, request.path)
        response = answers.problem(
            web.HTTPInternalServerError.status_code,
            ErrorCode.REQUEST_FAILED,
            f"this is a fault of callbridge; its log says more about request {request_id}",
        ).response()
    if not response.prepared:
        _add_headers(request, response, request_id)
    return response


def _problem_of(request: web.Request, error: web.HTTPException) -> answers.Answer:
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = sorted(error.allowed_methods)
            return answers.problem(
                error.status,
                ErrorCode.BAD_ARGUMENT,
                f"{request.path} has no {error.method}; it has {', '.join(allowed)}",
                headers={hdrs.ALLOW: ", ".join(allowed)},
            )
        case web.HTTPNotFound():
            return answers.problem(
                error.status,
                ErrorCode.NOT_FOUND,
                f"there is no {request.path}; {OPENAPI_PATH} says what there is",
            )
        case _:
            return answers.problem(error.status, ErrorCode.BAD_ARGUMENT, error.reason)


async def _openapi(_request: web.Request) -> web.Response:
    return web.Response(body=encoded_document(), content_type=answers.JSON)


def _add_headers(request: web.Request, response: web.StreamResponse, request_id: str) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.secure:
        response.headers.setdefault("Strict-Transport-Security", _TLS_ONLY)
    response.headers[REQUEST_ID_HEADER] = request_id


def _pattern(path: str) -> str:
    """Return a path as aiohttp matches it; a parameter may have braces in it, as any text."""
    return BASE + _PARAMETER.sub(r"{\1:[^/]+}", path)
