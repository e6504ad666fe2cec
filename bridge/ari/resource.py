"""What the generated resources stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec

from bridge.model.errors import RequestFailedError

T = TypeVar("T")
QueryValue = str | int | bool | Sequence[str] | None
Query = Mapping[str, QueryValue]


class Transport(Protocol):
    """Carries one request to Asterisk and its answer back."""

    async def request(
        self, method: str, resource: str, *, query: Query | None = None, body: object = None
    ) -> object:
        """Send; the decoded JSON of the answer, or None when it had no body."""

    async def download(self, resource: str) -> bytes:
        """GET a resource that is not JSON."""


class Resource:
    """One API of the server, on a transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @staticmethod
    def _decode(value: object, kind: type[T]) -> T:
        """Read an answer as the type that the API promises.

        Raises RequestFailedError (status 200) when the answer is something else.
        """
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            name = getattr(kind, "__name__", str(kind))
            raise RequestFailedError(
                status=200,
                method="decode",
                resource=name,
                reason=f"Asterisk's answer is not a {name}: {error}",
            ) from error


def segment(text: str) -> str:
    """Quote a value for use as one part of a path."""
    return quote(text, safe="")


def wrapped(name: str, value: object) -> dict[str, object] | None:
    """``{name: value}``, or nothing when there is no value."""
    return None if value is None else {name: value}


def query_pairs(query: Query | None) -> list[tuple[str, str]]:
    """Write a query as Asterisk reads it: booleans as words, lists with commas, no None."""
    pairs = []
    for name, value in (query or {}).items():
        if value is None:
            continue
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, str | int):
            text = str(value)
        else:
            text = ",".join(value)
        pairs.append((name, text))
    return pairs
