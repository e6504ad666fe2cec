"""Which incoming calls a route means, and which of two routes is the more specific. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from bridge.protocol.frames import Route

ANYTHING: Final = "*"

Rank: TypeAlias = tuple[int, int, int]
"""How specific a route is: fields that say something, exact ones among them, letters."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an incoming call. headers: of those that routes ask for, by lower case."""

    tenant: str = ""
    queue: str = ""
    dialled: str = ""
    endpoint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def matches(route: Route, facts: Facts) -> bool:
    """Tell whether a route means a call: all that it gives has to match."""
    pairs = [(route.dialled, facts.dialled), (route.endpoint, facts.endpoint)]
    if route.header is not None:
        name, pattern = route.header
        pairs.append((pattern, facts.headers.get(name.lower(), "")))
    return all(pattern is None or _is_like(pattern, value) for pattern, value in pairs)


def rank(route: Route) -> Rank:
    """Return how specific a route is: of two, the greater one is the more specific."""
    given = [route.dialled, route.endpoint, None if route.header is None else route.header[1]]
    said = [pattern for pattern in given if pattern is not None and pattern != ANYTHING]
    exact = [pattern for pattern in said if not pattern.endswith(ANYTHING)]
    return len(said), len(exact), sum(map(len, said))


def best(routes: Iterable[Route], facts: Facts) -> Rank | None:
    """Return the rank of the most specific route that means a call; None when none does."""
    return max((rank(route) for route in routes if matches(route, facts)), default=None)


def headers_of(routes: Iterable[Route]) -> frozenset[str]:
    """Return the SIP headers that routes ask for."""
    return frozenset(route.header[0] for route in routes if route.header is not None)


def text_of(route: Route) -> str:
    """Return a route as people read it."""
    said = [
        f"{name} {pattern}"
        for name, pattern in (("dialled", route.dialled), ("endpoint", route.endpoint))
        if pattern is not None
    ]
    if route.header is not None:
        said.append(f"{route.header[0]}: {route.header[1]}")
    return ", ".join(said) or "everything"


def _is_like(pattern: str, value: str) -> bool:
    if pattern.endswith(ANYTHING):
        return value.startswith(pattern.removesuffix(ANYTHING))
    return value == pattern
