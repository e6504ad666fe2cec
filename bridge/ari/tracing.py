"""A place for whoever wants to see every request to Asterisk: nobody, unless ``use`` is called."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

Opens: TypeAlias = Callable[[str, str], AbstractContextManager[None]]
"""Given method and resource, is entered while the request is under way."""

_NOTHING = nullcontext()
_opens: Opens | None = None


def use(opens: Opens | None) -> None:
    """Have every request from now on seen by a function; None: by nobody."""
    global _opens  # noqa: PLW0603 - one process, one tracer, as OpenTelemetry has it
    _opens = opens


def seen(method: str, resource: str) -> AbstractContextManager[None]:
    """Return what is to be entered while a request is under way."""
    return _NOTHING if _opens is None else _opens(method, resource)
