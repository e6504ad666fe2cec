"""Which arguments of ``Client`` belong to the daemon, and what a program says it is."""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from bridge.model.errors import BadArgumentError, ConfigurationError
from bridge.protocol.frames import Route
from bridge.sdk.routing import DEFAULT_ENDPOINT

_DEFAULTS: Final[Mapping[str, object]] = {
    "ari_url": None,
    "username": None,
    "password": None,
    "application": "callbridge",
    "endpoint": DEFAULT_ENDPOINT,
    "send_buffer_seconds": 120.0,
    "keys": None,
    "feature_keys": None,
    "phone_transfers": None,
    "instance": "default",
}
_LONGEST: Final = 80


def refuse(given: Mapping[str, object]) -> None:
    """Raise ConfigurationError for what only the daemon can be told. given: by argument."""
    for name, value in given.items():
        if callable(value):
            raise ConfigurationError(
                f"{name} is a function, which cannot go to the daemon: it is asked where the "
                "calls are; configure it there, or run the program in process (ari_url=…)"
            )
        if name in _DEFAULTS and value != _DEFAULTS[name]:
            raise ConfigurationError(
                f"{name} is the daemon's: set it in its configuration, or run the program in "
                "process (ari_url=…)"
            )
        if name not in _DEFAULTS and value:
            raise ConfigurationError(f"{name} is the daemon's: set it in its configuration")


def routes_of(routes: Collection[Route | str] | None) -> tuple[Route, ...]:
    """Return which incoming calls are wanted: all of them for None.

    A text is the number that was dialled, ``*`` at its end standing for anything.
    """
    if routes is None:
        return (Route(),)
    if isinstance(routes, str):
        raise BadArgumentError(f"routes are {routes!r}: give a list, [{routes!r}]")
    return tuple(Route(dialled=one) if isinstance(one, str) else one for one in routes)


def program_name(given: str | None) -> str:
    """Return the name of this program: by default that of its file."""
    name = given if given is not None else Path(sys.argv[0] or "program").stem
    if name in {"", "-c", "-m", "__main__"}:
        name = Path(sys.argv[0]).resolve().parent.name or "program"
    if not name.isprintable() or "/" in name or len(name) > _LONGEST:
        raise BadArgumentError(f"program={name!r}: a name of at most {_LONGEST} letters, without /")
    return name


def instance_name() -> str:
    """Return who may stand in for this process at once: whoever runs on the same host."""
    return socket.gethostname()[:_LONGEST]
