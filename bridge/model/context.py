"""On whose behalf code runs: seen by logs and traces, never by what decides anything."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

CALL_ID: Final[ContextVar[str]] = ContextVar("call_id", default="")
"""The call that a task is about; empty where it is about none or many."""
