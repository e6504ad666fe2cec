"""From a request to the function that carries it out, and from what that returns to an answer.

A handler is an async function of one argument::

    @handles(operations.SHOW_CALL)
    async def show_call(asked: Asked[NoBody, NoQuery]) -> CallView:
        return visible(asked.service, asked.principal, asked.path["call_id"])

It returns what the operation answers with, None where that is nothing, or a File. What it raises
of ``bridge.model.errors`` is told as a problem; anything else would be this server's own fault.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

from bridge.api.auth.principal import Principal
from bridge.api.service import Service
from bridge.protocol.operations import Operation
from bridge.protocol.permissions import Role

B_co = TypeVar("B_co", covariant=True)
Q_co = TypeVar("Q_co", covariant=True)
H = TypeVar("H", bound=Callable[..., Awaitable[Any]])

NoBody: TypeAlias = None
NoQuery: TypeAlias = None

Handler: TypeAlias = Callable[["Asked[Any, Any]"], Awaitable[Any]]

NOBODY: Final = Principal(name="", role=Role.OBSERVER, tenant="")
"""Who asks what is open to everybody: he sees no tenant's calls."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[B_co, Q_co]):
    """One request. path: what stands in it, by parameter. query, body: None where there is none."""

    service: Service
    principal: Principal
    operation: Operation
    path: Mapping[str, str]
    query: Q_co
    body: B_co
    request_id: str = ""


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
        if operation.operation_id in HANDLERS:
            msg = f"{operation.operation_id} has a handler"
            raise ValueError(msg)
        HANDLERS[operation.operation_id] = handler
        return handler

    return register
