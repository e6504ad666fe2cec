"""Which request is being carried out, for logs and traces: set by the router, seen by all below."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")
PRINCIPAL: Final[ContextVar[str]] = ContextVar("principal", default="")
"""Name of who asks."""
