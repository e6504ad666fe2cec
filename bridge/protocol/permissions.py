"""Roles and what each may do. The table is the whole of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """What an operation needs."""

    SEE_CALLS = "see_calls"
    LISTEN = "listen"
    """Hear a call: observe it as a spy."""
    COACH = "coach"
    """Be heard: whisper, barge, take over."""
    CONTROL = "control"
    """Parties, hold, transfer, parking, hang up."""
    ORIGINATE = "originate"
    RECORD = "record"
    HEAR_RECORDINGS = "hear_recordings"
    WRITE_NOTES = "write_notes"
    TAKE_CALLS = "take_calls"
    """Be the program that has incoming calls."""
    SEE_PBX = "see_pbx"
    """Endpoints and channels, which belong to no tenant."""
    SEE_AUDIT = "see_audit"
    ADMINISTER = "administer"
    """Keys and webhooks."""


class Role(StrEnum):
    """What somebody is."""

    OBSERVER = "observer"
    SUPERVISOR = "supervisor"
    PROGRAM = "program"
    ADMIN = "admin"


_OBSERVER: Final = frozenset({Permission.SEE_CALLS, Permission.LISTEN})
_SUPERVISOR: Final = _OBSERVER | {
    Permission.COACH,
    Permission.CONTROL,
    Permission.RECORD,
    Permission.HEAR_RECORDINGS,
    Permission.WRITE_NOTES,
    Permission.SEE_AUDIT,
}
_PROGRAM: Final = _OBSERVER | {
    Permission.COACH,
    Permission.CONTROL,
    Permission.ORIGINATE,
    Permission.RECORD,
    Permission.WRITE_NOTES,
    Permission.TAKE_CALLS,
}

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.OBSERVER: _OBSERVER,
    Role.SUPERVISOR: _SUPERVISOR,
    Role.PROGRAM: _PROGRAM,
    Role.ADMIN: frozenset(Permission),
}

EVERY_TENANT: Final = "*"
"""The tenant of a key that is good for all of them."""
