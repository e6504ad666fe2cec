"""Records for the store, with what a test says of them."""

from __future__ import annotations

from typing import Any

from bridge.protocol.views import AuditView, CallRecordView, EventView, NoteView
from bridge.store.records import Delivery, DeliveryState, DeliveryUpdate, StoredKey, StoredWebhook


def event(seq: int = 1, **fields: Any) -> EventView:
    """Return an event of the epoch ``e``."""
    known: dict[str, Any] = {"epoch": "e", "at": 1000.0 + seq, "type": "CALL_CONNECTED"}
    return EventView(seq=seq, **(known | fields))


def note(note_id: str = "n1", **fields: Any) -> NoteView:
    """Return a note about the call ``c1``."""
    known: dict[str, Any] = {"call_id": "c1", "at": 1000.0, "by": "anna", "text": "hello"}
    return NoteView(note_id=note_id, **(known | fields))


def call_record(call_id: str = "c1", **fields: Any) -> CallRecordView:
    """Return the record of a call of the tenant ``acme``."""
    known: dict[str, Any] = {"tenant": "acme", "began_at": 1000.0}
    return CallRecordView(call_id=call_id, **(known | fields))


def audit(what: str = "whisper", **fields: Any) -> AuditView:
    """Return the record of something that anna did on the call ``c1``."""
    known: dict[str, Any] = {
        "at": 1000.0,
        "call_id": "c1",
        "who": "ai",
        "by": "anna",
        "result": "done",
        "tenant": "acme",
    }
    return AuditView(what=what, **(known | fields))


def webhook(webhook_id: str = "w1", **fields: Any) -> StoredWebhook:
    """Return a webhook of the tenant ``acme``."""
    known: dict[str, Any] = {
        "url": "https://example.org/hook",
        "secret": "0123456789abcdef",
        "tenant": "acme",
        "created_at": 1000.0,
    }
    return StoredWebhook(webhook_id=webhook_id, **(known | fields))


def delivery(delivery_id: str = "d1", **fields: Any) -> Delivery:
    """Return a delivery to the webhook ``w1`` about the call ``c1``, due at 1000."""
    known: dict[str, Any] = {
        "webhook_id": "w1",
        "event_type": "CALL_CONNECTED",
        "call_id": "c1",
        "created_at": 1000.0,
        "next_at": 1000.0,
        "body": "{}",
    }
    return Delivery(delivery_id=delivery_id, **(known | fields))


def update(delivery_id: str = "d1", **fields: Any) -> DeliveryUpdate:
    """Return that a delivery was delivered at the first attempt."""
    known: dict[str, Any] = {
        "state": DeliveryState.DELIVERED,
        "attempts": 1,
        "last_status": 200,
    }
    return DeliveryUpdate(delivery_id=delivery_id, **(known | fields))


def key(key_id: str = "k1", **fields: Any) -> StoredKey:
    """Return a key of the tenant ``acme``."""
    known: dict[str, Any] = {
        "name": "anna",
        "role": "supervisor",
        "tenant": "acme",
        "created_at": 1000.0,
        "digest": "d" * 64,
    }
    return StoredKey(key_id=key_id, **(known | fields))
