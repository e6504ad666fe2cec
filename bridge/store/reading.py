"""Reading what calls have left: notes, contexts, records, events, audit."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import or_, select

from bridge.protocol.requests import AuditListing, EventListing, HistoryListing
from bridge.protocol.views import (
    AuditView,
    CallRecordView,
    ContextView,
    EventView,
    NoteView,
    Page,
)
from bridge.store.access import Access, as_view, beyond, columns, inside, page, read_cursor
from bridge.store.records import EVERYTHING, Scope
from bridge.store.tables import AuditLog, Calls, Contexts, Events, Notes

_RECORD = columns(Calls, CallRecordView)
_NOTE = columns(Notes, NoteView)
_AUDIT = columns(AuditLog, AuditView)
_event = msgspec.json.Decoder(EventView)


class Reading(Access):
    """What is read of calls."""

    async def notes(
        self, call_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> Page[NoteView]:
        """Return the notes of a call, the oldest first."""
        query = select(*_NOTE).where(Notes.call_id == call_id)
        if cursor is not None:
            query = query.where(
                beyond(Notes.at, Notes.note_id, read_cursor(cursor, tuple[float, str]))
            )
        query = query.order_by(Notes.at, Notes.note_id).limit(limit + 1)
        rows = await self._rows(query)
        return page(rows, limit, as_view(NoteView), "at", "note_id")

    async def context(self, call_id: str) -> ContextView | None:
        """Return what was saved about a call, None for nothing."""
        query = select(Contexts.saved_at, Contexts.body).where(Contexts.call_id == call_id)
        rows = await self._rows(query)
        if not rows:
            return None
        values = msgspec.json.decode(rows[0]["body"], type=dict[str, Any])
        return ContextView(call_id=call_id, saved_at=rows[0]["saved_at"], values=values)

    async def history(
        self, listing: HistoryListing, scope: Scope = EVERYTHING
    ) -> Page[CallRecordView]:
        """Return call detail records, the newest first."""
        query = select(*_RECORD).where(*inside(scope, Calls.tenant, Calls.queue))
        if listing.number is not None:
            query = query.where(
                or_(Calls.caller_number == listing.number, Calls.callee_number == listing.number)
            )
        if listing.since is not None:
            query = query.where(Calls.began_at >= listing.since)
        if listing.until is not None:
            query = query.where(Calls.began_at < listing.until)
        if listing.end_reason is not None:
            query = query.where(Calls.end_reason == listing.end_reason)
        if listing.tenant is not None:
            query = query.where(Calls.tenant == listing.tenant)
        if listing.queue is not None:
            query = query.where(Calls.queue == listing.queue)
        if listing.cursor is not None:
            place = read_cursor(listing.cursor, tuple[float, str])
            query = query.where(beyond(Calls.began_at, Calls.call_id, place, newest_first=True))
        query = query.order_by(Calls.began_at.desc(), Calls.call_id.desc())
        rows = await self._rows(query.limit(listing.limit + 1))
        return page(rows, listing.limit, as_view(CallRecordView), "began_at", "call_id")

    async def call_record(self, call_id: str) -> CallRecordView | None:
        """Return the record of a call, None if there is none. Whoever asks judges the scope."""
        query = select(*_RECORD).where(Calls.call_id == call_id)
        rows = await self._rows(query)
        return CallRecordView(**rows[0]) if rows else None

    async def unfinished(self) -> tuple[CallRecordView, ...]:
        """Return the records of this daemon's calls that have no end yet, the oldest first."""
        query = select(*_RECORD).where(Calls.ended_at.is_(None), Calls.spool_id == self._spool_id)
        rows = await self._rows(query.order_by(Calls.began_at))
        return tuple(CallRecordView(**row) for row in rows)

    async def events(self, listing: EventListing, scope: Scope = EVERYTHING) -> Page[EventView]:
        """Return events, the oldest first, or the newest."""
        query = select(Events.row_id, Events.body).where(
            *inside(scope, Events.tenant, Events.queue)
        )
        if listing.call_id is not None:
            query = query.where(Events.call_id == listing.call_id)
        if listing.type is not None:
            query = query.where(Events.type == listing.type)
        if listing.since is not None:
            query = query.where(Events.at >= listing.since)
        if listing.tenant is not None:
            query = query.where(Events.tenant == listing.tenant)
        if listing.cursor is not None:
            (last,) = read_cursor(listing.cursor, tuple[int])
            newer = not listing.newest_first
            query = query.where(Events.row_id > last if newer else Events.row_id < last)
        order = Events.row_id.desc() if listing.newest_first else Events.row_id
        rows = await self._rows(query.order_by(order).limit(listing.limit + 1))
        return page(rows, listing.limit, lambda row: _event.decode(row["body"]), "row_id")

    async def audit(self, listing: AuditListing, scope: Scope = EVERYTHING) -> Page[AuditView]:
        """Return audit records, the newest first.

        A scope of queues leaves those of the calls that are recorded as theirs.
        """
        query = select(AuditLog.row_id, *_AUDIT).where(*inside(scope, AuditLog.tenant))
        if scope.queues:
            calls = select(Calls.call_id).where(*inside(scope, Calls.tenant, Calls.queue))
            query = query.where(AuditLog.call_id.in_(calls))
        if listing.call_id is not None:
            query = query.where(AuditLog.call_id == listing.call_id)
        if listing.by is not None:
            query = query.where(AuditLog.by == listing.by)
        if listing.since is not None:
            query = query.where(AuditLog.at >= listing.since)
        if listing.cursor is not None:
            (before,) = read_cursor(listing.cursor, tuple[int])
            query = query.where(AuditLog.row_id < before)
        query = query.order_by(AuditLog.row_id.desc()).limit(listing.limit + 1)
        rows = await self._rows(query)
        return page(rows, listing.limit, as_view(AuditView), "row_id")
