"""What was: call detail records, events, audit."""

from __future__ import annotations

from bridge.api.known import scope_of
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.model.errors import NotFoundError
from bridge.protocol import operations
from bridge.protocol.requests import AuditListing, EventListing, HistoryListing
from bridge.protocol.views import AuditView, CallRecordView, EventView, Page


@handles(operations.LIST_HISTORY)
async def list_history(asked: Asked[NoBody, HistoryListing]) -> Page[CallRecordView]:
    """List the records of calls, the newest first."""
    return await asked.service.store.history(asked.query, scope_of(asked.principal))


@handles(operations.SHOW_HISTORY)
async def show_history(asked: Asked[NoBody, NoQuery]) -> CallRecordView:
    """Show the record of a call."""
    call_id = asked.path["call_id"]
    record = await asked.service.store.call_record(call_id)
    if record is None or not asked.principal.sees(record.tenant, record.queue):
        raise NotFoundError(f"there is no record of call {call_id}: GET /history lists them")
    return record


@handles(operations.LIST_EVENTS)
async def list_events(asked: Asked[NoBody, EventListing]) -> Page[EventView]:
    """List what happened, the oldest first, or the newest."""
    return await asked.service.store.events(asked.query, scope_of(asked.principal))


@handles(operations.LIST_AUDIT)
async def list_audit(asked: Asked[NoBody, AuditListing]) -> Page[AuditView]:
    """List who did what, the newest first."""
    return await asked.service.store.audit(asked.query, scope_of(asked.principal))
