"""Records to JSON and back. Whatever a program put into a record, it can be written."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from bridge.protocol.views import AuditView, CallRecordView, ContextView, EventView, NoteView
from bridge.store.framing import Kind
from bridge.store.records import Delivery, DeliveryUpdate, Writable

TYPES: Final[dict[Kind, type[Writable]]] = {
    Kind.CALL: CallRecordView,
    Kind.EVENT: EventView,
    Kind.NOTE: NoteView,
    Kind.CONTEXT: ContextView,
    Kind.AUDIT: AuditView,
    Kind.DELIVERY: Delivery,
    Kind.DELIVERY_UPDATE: DeliveryUpdate,
}
_KINDS: Final[dict[type, Kind]] = {kind_type: kind for kind, kind_type in TYPES.items()}
_DEEPEST: Final = 100
_encoder = msgspec.json.Encoder(enc_hook=repr)


def kind_of(record: Writable) -> Kind:
    """Return what a record is. Raises TypeError for what no store takes."""
    kind = _KINDS.get(type(record))
    if kind is None:
        raise TypeError(f"the store takes no {type(record).__name__}")
    return kind


def encode(record: Writable) -> bytes:
    """Return a record as JSON.

    What JSON does not know is written as Python shows it: a program's mistake in one field of a
    record must not cost the record.
    """
    try:
        return _encoder.encode(record)
    except (TypeError, ValueError, RecursionError):
        fields = {name: getattr(record, name) for name in type(record).__struct_fields__}
        return _encoder.encode(_plain(fields, _DEEPEST))


def _plain(value: object, depth: int) -> object:
    """Return what JSON can say of a value: text without lone surrogates, text for keys."""
    if depth == 0:
        return "…"
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {_plain(str(key), depth - 1): _plain(part, depth - 1) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(part, depth - 1) for part in value]
    return _plain(repr(value), depth - 1)
