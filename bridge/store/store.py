"""What outlives calls, in a database that may be down: a call never waits for it.

::

    write() -> memory -> spool on disk -> database        (reads come from the database alone)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from bridge.protocol.requests import (
    AuditListing,
    DeliveryListing,
    EventListing,
    HistoryListing,
    Listing,
)
from bridge.protocol.views import (
    AuditView,
    CallRecordView,
    ContextView,
    DeliveryView,
    EventView,
    KeyView,
    NoteView,
    Page,
    WebhookView,
)
from bridge.store.records import (
    EVERYTHING,
    Delivery,
    DeliveryUpdate,
    Scope,
    StoredKey,
    StoredWebhook,
    Writable,
)

_NOT_YET = "the store is being built"


class Store:
    """The store of one daemon.

    Every read raises StoreError while the database cannot be reached, and BadArgumentError for a
    cursor that no page gave. A read waits up to a second for what was written before it, so that
    one reads one's own writes.
    """

    @classmethod
    async def open(cls, url: str, *, spool: Path, clock: Callable[[], float] = time.time) -> Store:
        """Open the store and bring its schema up to date.

        url: ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST:PORT/NAME``. spool: a folder
        of this daemon alone, for what the database has not got yet. A database that is down is
        waited for in the background. Raises ConfigurationError if the URL makes no sense, the spool
        cannot be used, or the schema is of a newer callbridge.
        """
        raise NotImplementedError(_NOT_YET)

    async def close(self) -> None:
        """Write what there is, to the database if it is there, else to the spool; then end."""

    # --- writing: never waits, never raises

    def write(self, record: Writable) -> None:
        """Take a record, to be stored in its turn. Returns at once and never raises."""

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries, as ``write`` does."""

    def set_delivery(self, update: DeliveryUpdate) -> None:
        """Take how an attempt ended, as ``write`` does."""

    @property
    def health(self) -> str:
        """``ok``, or what is wrong and what to do."""
        return "ok"

    @property
    def backlog(self) -> int:
        """Number of records that the database has not got yet."""
        return 0

    @property
    def lost(self) -> int:
        """Number of records that gave way, or that the database refused, since the start."""
        return 0

    # --- reading

    async def notes(
        self, call_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> Page[NoteView]:
        """Return the notes of a call, the oldest first."""
        raise NotImplementedError(_NOT_YET)

    async def context(self, call_id: str) -> ContextView | None:
        """Return what was saved about a call, None for nothing."""
        raise NotImplementedError(_NOT_YET)

    async def history(
        self, listing: HistoryListing, scope: Scope = EVERYTHING
    ) -> Page[CallRecordView]:
        """Return call detail records, the newest first."""
        raise NotImplementedError(_NOT_YET)

    async def call_record(self, call_id: str) -> CallRecordView | None:
        """Return the record of a call, None if there is none. Whoever asks judges the scope."""
        raise NotImplementedError(_NOT_YET)

    async def unfinished(self) -> tuple[CallRecordView, ...]:
        """Return the records of this daemon's calls that have no end yet."""
        raise NotImplementedError(_NOT_YET)

    async def events(self, listing: EventListing, scope: Scope = EVERYTHING) -> Page[EventView]:
        """Return events, the oldest first."""
        raise NotImplementedError(_NOT_YET)

    async def audit(self, listing: AuditListing, scope: Scope = EVERYTHING) -> Page[AuditView]:
        """Return audit records, the newest first.

        A scope of queues leaves those of the calls that are recorded as theirs.
        """
        raise NotImplementedError(_NOT_YET)

    # --- keys

    async def add_key(self, key: StoredKey) -> None:
        """Keep a key. Raises StoreError while the database is down: nothing is queued."""
        raise NotImplementedError(_NOT_YET)

    async def keys(self, listing: Listing, scope: Scope = EVERYTHING) -> Page[KeyView]:
        """Return the keys, revoked ones too, the oldest first; of a tenant if the scope says so."""
        raise NotImplementedError(_NOT_YET)

    async def find_key(self, key_id: str) -> StoredKey | None:
        """Return a key, revoked and expired ones too; None if there is none."""
        raise NotImplementedError(_NOT_YET)

    async def revoke_key(self, key_id: str, scope: Scope = EVERYTHING) -> bool:
        """Revoke a key; False if there is none in the scope. Revoking twice does no harm."""
        raise NotImplementedError(_NOT_YET)

    # --- webhooks

    async def add_webhook(self, webhook: StoredWebhook) -> None:
        """Keep a webhook. Raises StoreError while the database is down: nothing is queued."""
        raise NotImplementedError(_NOT_YET)

    async def webhooks(self, listing: Listing, scope: Scope = EVERYTHING) -> Page[WebhookView]:
        """Return the webhooks with the numbers of their deliveries, the oldest first."""
        raise NotImplementedError(_NOT_YET)

    async def webhook(self, webhook_id: str) -> WebhookView | None:
        """Return a webhook with the numbers of its deliveries, None if there is none."""
        raise NotImplementedError(_NOT_YET)

    async def stored_webhooks(self) -> tuple[StoredWebhook, ...]:
        """Return all webhooks with their secrets, for who sends."""
        raise NotImplementedError(_NOT_YET)

    async def remove_webhook(self, webhook_id: str, scope: Scope = EVERYTHING) -> bool:
        """Forget a webhook and all its deliveries; False if there is none in the scope."""
        raise NotImplementedError(_NOT_YET)

    async def due_deliveries(
        self, now: float, *, limit: int = 100, without: Collection[str] = ()
    ) -> tuple[Delivery, ...]:
        """Return what is to be sent now: of each webhook and call the oldest that is pending.

        Those of this daemon alone; a delivery without a call waits for no other. without: webhooks
        that are left out, being busy, so that a slow one keeps no other's from being returned.
        """
        raise NotImplementedError(_NOT_YET)

    async def next_delivery_at(self) -> float | None:
        """Return when the next delivery is due, None if none is pending."""
        raise NotImplementedError(_NOT_YET)

    async def deliveries(self, webhook_id: str, listing: DeliveryListing) -> Page[DeliveryView]:
        """Return the deliveries of a webhook, the newest first."""
        raise NotImplementedError(_NOT_YET)

    async def replay(
        self, webhook_id: str, delivery_ids: Sequence[str] | None, *, now: float
    ) -> int:
        """Make deliveries pending and due again, with no attempt made; return how many.

        delivery_ids: by default all that are dead. They become this daemon's.
        """
        raise NotImplementedError(_NOT_YET)
