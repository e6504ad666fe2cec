"""What is written to the store, and what only the daemon's own parts read from it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from bridge.protocol.views import (
    AuditView,
    CallRecordView,
    ContextView,
    EventView,
    KeyView,
    NoteView,
)


class Scope(msgspec.Struct, frozen=True):
    """What may be seen: of one tenant (None: of all) and of some queues (none named: of all)."""

    tenant: str | None = None
    queues: frozenset[str] = frozenset()


EVERYTHING: Final = Scope()

INBOUND: Final = "inbound"
OUTBOUND: Final = "outbound"
FOREIGN: Final = "foreign"
"""The directions of a call."""


class DeliveryState(StrEnum):
    """Of one event on its way to one webhook."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one webhook.

    ``body`` is what is sent, byte for byte. Times are seconds since 1970. A pending delivery is
    due from ``next_at`` on.
    """

    delivery_id: str
    webhook_id: str
    event_type: str
    call_id: str | None
    created_at: float
    body: str
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    next_at: float | None = None
    last_status: int | None = None
    last_error: str = ""


class DeliveryUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended; replaces what the delivery said of the one before."""

    delivery_id: str
    state: DeliveryState
    attempts: int
    next_at: float | None = None
    last_status: int | None = None
    last_error: str = ""


class StoredWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook with its secret, which has to be readable: it signs what is sent."""

    webhook_id: str
    url: str
    secret: str
    events: tuple[str, ...] = ()
    tenant: str = ""
    active: bool = True
    created_at: float = 0.0


class StoredKey(KeyView, frozen=True, kw_only=True):
    """An API key with the digest of its secret, never the secret."""

    digest: str

    def view(self) -> KeyView:
        """Return what may be shown of it."""
        return KeyView(**{name: getattr(self, name) for name in KeyView.__struct_fields__})


Writable: TypeAlias = (
    CallRecordView | EventView | NoteView | ContextView | AuditView | Delivery | DeliveryUpdate
)
"""What ``Store.write`` takes."""
