"""What goes back over HTTP: views as JSON, and errors as problem details (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiohttp import web

from bridge.model.errors import CallbridgeError, ErrorCode
from bridge.protocol.problems import CONTENT_TYPE, Problem, plain_problem, problem_of

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is sent, so that it can be kept and sent again."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """Return it as aiohttp sends it."""
        if not self.body:
            return web.Response(status=self.status, headers=self.headers)
        return web.Response(
            status=self.status,
            body=self.body,
            content_type=self.content_type,
            headers=self.headers,
        )


def shown(view: object, status: int = 200) -> Answer:
    """Return a view as an answer; nothing has no body."""
    return Answer(status, b"" if view is None else msgspec.json.encode(view))


def told(problem: Problem, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a problem as an answer, with the headers that belong to its status."""
    added = dict(headers or {})
    if problem.status == web.HTTPUnauthorized.status_code:
        added["WWW-Authenticate"] = "Bearer"
    if problem.retry_after is not None:
        added["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    return Answer(problem.status, msgspec.json.encode(problem), CONTENT_TYPE, added)


def refused(error: CallbridgeError) -> Answer:
    """Return what is told of an error."""
    return told(problem_of(error))


def problem(
    status: int, code: ErrorCode, detail: str, *, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return a problem of HTTP itself: an unknown path, a wrong method, a body too large."""
    return told(plain_problem(status, code, detail), headers)
