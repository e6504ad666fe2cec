"""What people and programs write about a call."""

from __future__ import annotations

import secrets
import time

from bridge.api.known import check_known
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.model.errors import NotFoundError
from bridge.protocol import operations
from bridge.protocol.requests import Listing, SaveContext, WriteNote
from bridge.protocol.views import ContextView, NoteView, Page


@handles(operations.LIST_NOTES)
async def list_notes(asked: Asked[NoBody, Listing]) -> Page[NoteView]:
    """List the notes of a call, live or over, the oldest first."""
    call_id = asked.path["call_id"]
    await check_known(asked.service, asked.principal, call_id)
    query = asked.query
    return await asked.service.store.notes(call_id, limit=query.limit, cursor=query.cursor)


@handles(operations.WRITE_NOTE)
async def write_note(asked: Asked[WriteNote, NoQuery]) -> NoteView:
    """Write a note about a call, live or over. While the store is down it is kept for it."""
    call_id = asked.path["call_id"]
    await check_known(asked.service, asked.principal, call_id)
    note = NoteView(
        note_id=f"note_{secrets.token_hex(8)}",
        call_id=call_id,
        at=time.time(),
        by=asked.principal.name,
        text=asked.body.text,
    )
    asked.service.store.write(note)
    return note


@handles(operations.SHOW_CONTEXT)
async def show_context(asked: Asked[NoBody, NoQuery]) -> ContextView:
    """Show what was saved about a call, live or over."""
    call_id = asked.path["call_id"]
    await check_known(asked.service, asked.principal, call_id)
    context = await asked.service.store.context(call_id)
    if context is None:
        raise NotFoundError(f"nothing was saved about call {call_id}")
    return context


@handles(operations.SAVE_CONTEXT)
async def save_context(asked: Asked[SaveContext, NoQuery]) -> ContextView:
    """Save what the next one should know, in the place of what was saved."""
    call_id = asked.path["call_id"]
    await check_known(asked.service, asked.principal, call_id)
    context = ContextView(call_id=call_id, saved_at=time.time(), values=asked.body.values)
    asked.service.store.write(context)
    return context
