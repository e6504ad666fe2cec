"""Records into rows. Whatever is stored twice is there once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Update, bindparam, case, func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bridge.protocol.views import AuditView, CallRecordView, NoteView
from bridge.store.engine import Database, Insert
from bridge.store.framing import Frame, Kind
from bridge.store.records import INBOUND, OUTBOUND, Delivery, DeliveryUpdate
from bridge.store.tables import AuditLog, Calls, Contexts, Deliveries, Events, Notes, Spools

Row = dict[str, Any]


class _EventHead(msgspec.Struct):
    """Of an event, what has a column of its own."""

    seq: int
    epoch: str
    at: float
    type: str
    call_id: str | None = None
    tenant: str = ""
    queue: str = ""


class _ContextHead(msgspec.Struct):
    call_id: str
    saved_at: float
    values: msgspec.Raw


_ORDER: Final = (
    Kind.CALL,
    Kind.EVENT,
    Kind.NOTE,
    Kind.CONTEXT,
    Kind.AUDIT,
    Kind.DELIVERY,
    Kind.DELIVERY_UPDATE,
)
"""Deliveries before what became of them."""
_DECODERS: Final[dict[Kind, msgspec.json.Decoder[Any]]] = {
    Kind.CALL: msgspec.json.Decoder(CallRecordView),
    Kind.EVENT: msgspec.json.Decoder(_EventHead),
    Kind.NOTE: msgspec.json.Decoder(NoteView),
    Kind.CONTEXT: msgspec.json.Decoder(_ContextHead),
    Kind.AUDIT: msgspec.json.Decoder(AuditView),
    Kind.DELIVERY: msgspec.json.Decoder(Delivery),
    Kind.DELIVERY_UPDATE: msgspec.json.Decoder(DeliveryUpdate),
}
_NUL: Final = "\0"
_REPLACED: Final = "\ufffd"


def row_of(frame: Frame, spool_id: str) -> Row:
    """Return the columns of a record. Raises msgspec.DecodeError for what is none."""
    record = _DECODERS[frame.kind].decode(frame.body)
    row: Row = msgspec.structs.asdict(record)
    match frame.kind:
        case Kind.EVENT:
            row["body"] = frame.body.decode()
        case Kind.CONTEXT:
            row["body"] = bytes(row.pop("values")).decode()
        case Kind.AUDIT:
            row |= {"spool_id": spool_id, "serial": frame.serial}
        case Kind.CALL | Kind.DELIVERY:
            row["spool_id"] = spool_id
        case Kind.DELIVERY_UPDATE:
            row["which"] = row.pop("delivery_id")
        case Kind.NOTE:
            pass
    return storable(row)


def storable(row: Row) -> Row:
    """Return a row without what PostgreSQL's texts cannot hold: a NUL, a lone surrogate."""
    return {
        name: value.replace(_NUL, _REPLACED).encode("utf-8", "replace").decode()
        if isinstance(value, str) and not (value.isprintable() and value.isascii())
        else value
        for name, value in row.items()
    }


class Rows:
    """The statements of one database and one spool."""

    def __init__(self, database: Database, spool_id: str) -> None:
        self._database = database
        self._spool_id = spool_id

    async def store(self, connection: AsyncConnection, frames: Sequence[Frame]) -> None:
        """Store records, and how far the spool is stored, in the transaction given.

        frames: in the order of their serials. Raises one of ``engine.FAILURES``.
        """
        rows: dict[Kind, list[Row]] = {}
        for frame in frames:
            rows.setdefault(frame.kind, []).append(row_of(frame, self._spool_id))
        for kind in _ORDER:
            if kind in rows:
                await connection.execute(self._statements[kind], rows[kind])
        await self.store_position(connection, frames[-1].serial)

    async def store_position(self, connection: AsyncConnection, serial: int) -> None:
        """Store how far the spool is stored. Raises one of ``engine.FAILURES``."""
        await connection.execute(self._position, [{"spool_id": self._spool_id, "stored": serial}])

    @cached_property
    def _position(self) -> Insert:
        insert = self._database.insert(Spools)
        return insert.on_conflict_do_update(
            index_elements=[Spools.spool_id], set_={"stored": insert.excluded.stored}
        )

    @cached_property
    def _statements(self) -> dict[Kind, Insert | Update]:
        insert = self._database.insert
        contexts = insert(Contexts)
        return {
            Kind.CALL: self._calls(),
            Kind.EVENT: insert(Events).on_conflict_do_nothing(
                index_elements=[Events.epoch, Events.seq]
            ),
            Kind.NOTE: insert(Notes).on_conflict_do_nothing(index_elements=[Notes.note_id]),
            Kind.CONTEXT: contexts.on_conflict_do_update(
                index_elements=[Contexts.call_id],
                set_={"saved_at": contexts.excluded.saved_at, "body": contexts.excluded.body},
            ),
            Kind.AUDIT: insert(AuditLog).on_conflict_do_nothing(
                index_elements=[AuditLog.spool_id, AuditLog.serial]
            ),
            Kind.DELIVERY: insert(Deliveries).on_conflict_do_nothing(
                index_elements=[Deliveries.delivery_id]
            ),
            Kind.DELIVERY_UPDATE: update(Deliveries)
            .where(Deliveries.delivery_id == bindparam("which"))
            .values(
                {
                    name: bindparam(name)
                    for name in DeliveryUpdate.__struct_fields__
                    if name != "delivery_id"
                }
            ),
        }

    def _calls(self) -> Insert:
        """Return the statement for call detail records.

        The later one replaces the one before; but a daemon that has found a call at its start did
        not see its beginning, and what is known of that stays.
        """
        insert = self._database.insert(Calls)
        new = insert.excluded
        connected: ColumnElement[Any] = func.coalesce(Calls.connected_at, new.connected_at)
        talked = case(
            (new.ended_at.is_(None), new.talk_seconds),
            (connected.is_(None), new.talk_seconds),
            (new.ended_at < connected, 0.0),
            else_=new.ended_at - connected,
        )
        latest = {
            name: getattr(new, name)
            for name in (*CallRecordView.__struct_fields__, "spool_id")
            if name != "call_id"
        }
        return insert.on_conflict_do_update(
            index_elements=[Calls.call_id],
            set_=latest
            | {
                "began_at": case(
                    (Calls.began_at < new.began_at, Calls.began_at), else_=new.began_at
                ),
                # Of a call that it has found, a daemon does not know who had placed it.
                "direction": case(
                    ((new.direction == INBOUND) & (Calls.direction == OUTBOUND), OUTBOUND),
                    else_=new.direction,
                ),
                "answered_at": func.coalesce(Calls.answered_at, new.answered_at),
                "connected_at": connected,
                "talk_seconds": talked,
            },
        )
