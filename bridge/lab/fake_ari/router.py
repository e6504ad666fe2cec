"""Which request is carried out by whom in the fake server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from bridge.lab.fake_ari.objects import Refusal

if TYPE_CHECKING:
    from bridge.lab.fake_ari.world import World

MODULES = (
    "bridge_holding.so",
    "bridge_softmix.so",
    "chan_pjsip.so",
    "chan_rtp.so",
    "chan_websocket.so",
    "codec_resample.so",
    "res_ari.so",
    "res_stasis_snoop.so",
)


@dataclass
class Server:
    """What the fake says of itself."""

    version: str = "22.10.1"
    modules: tuple[str, ...] = MODULES
    startup_time: str = "2026-01-01T00:00:00.000+0000"


@dataclass
class Request:
    """One request, on either transport. ``path`` holds the variable parts, unquoted."""

    method: str
    resource: str
    query: Mapping[str, str]
    body: object
    path: tuple[str, ...] = ()

    def need(self, name: str, reason: str) -> str:
        """Return a parameter or refuse with 400."""
        value = self.query.get(name, "")
        if not value:
            raise Refusal(400, reason)
        return value

    def get(self, name: str, default: str = "") -> str:
        """Return a parameter that may be left out."""
        return self.query.get(name, default)

    def variables(self) -> dict[str, str]:
        """Return the ``variables`` of the body."""
        given = self.body.get("variables") if isinstance(self.body, dict) else None
        return {str(k): str(v) for k, v in given.items()} if isinstance(given, dict) else {}


Handler = Callable[["World", Server, Request], object]
"""Carries a request out; the JSON value of its answer, None for 204."""


@dataclass(frozen=True)
class _Route:
    method: str
    parts: tuple[str, ...]
    handler: Handler
    status: int

    def fits(self, parts: list[str]) -> bool:
        return all(own in ("{}", given) for own, given in zip(self.parts, parts, strict=True))


_ROUTES: dict[tuple[str, int], list[_Route]] = {}
"""By the first part of a resource and how many it has."""


def route(method: str, template: str, *, status: int = 200) -> Callable[[Handler], Handler]:
    """Register a handler for a resource such as ``channels/{}/answer``."""
    parts = tuple(template.split("/"))

    def register(handler: Handler) -> Handler:
        routes = _ROUTES.setdefault((parts[0], len(parts)), [])
        routes.append(_Route(method, parts, handler, status))
        # A fixed word goes before an id in the same place.
        routes.sort(key=lambda entry: entry.parts.count("{}"))
        return handler

    return register


def dispatch(world: World, server: Server, request: Request) -> tuple[int, object]:
    """Carry a request out; return the status and the JSON value of its answer. Raises Refusal."""
    parts = request.resource.split("/")
    known = False
    for entry in _ROUTES.get((parts[0], len(parts)), ()):
        if not entry.fits(parts) or "" in parts:
            continue
        known = True
        if entry.method == request.method:
            pairs = zip(entry.parts, parts, strict=True)
            request.path = tuple(unquote(given) for own, given in pairs if own == "{}")
            value = entry.handler(world, server, request)
            return (204 if value is None else entry.status), value
    raise Refusal(405, "Invalid method") if known else Refusal(404, "Resource not found")
