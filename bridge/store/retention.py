"""What is old is removed, a little at a time: nobody waits long for a lock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from bridge.store.engine import FAILURES, Database, say
from bridge.store.records import DeliveryState
from bridge.store.tables import AuditLog, Base, Calls, Contexts, Deliveries, Events, Notes

_log = logging.getLogger(__name__)

DAY_S: Final = 86_400.0
BATCH: Final = 500
_PAUSE_S: Final = 0.05
_EVERY_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days what is kept. None: for ever."""

    events: float | None = 30.0
    audit: float | None = 365.0
    deliveries: float | None = 30.0
    """Those that are delivered or dead, or that nobody has tried for as long: their webhook, or
    their daemon, is gone."""
    calls: float | None = None
    """Records of calls that are over, their notes and contexts."""


@dataclass(frozen=True, slots=True)
class _Old:
    """Rows that may be removed: a table by its key, and which."""

    table: type[Base]
    key: InstrumentedAttribute[int] | InstrumentedAttribute[str]
    which: ColumnElement[bool]


def _old(retention: Retention, now: float) -> list[_Old]:
    found = []
    if retention.events is not None:
        at = now - retention.events * DAY_S
        found.append(_Old(Events, Events.row_id, Events.at < at))
    if retention.audit is not None:
        at = now - retention.audit * DAY_S
        found.append(_Old(AuditLog, AuditLog.row_id, AuditLog.at < at))
    if retention.deliveries is not None:
        at = now - retention.deliveries * DAY_S
        given_up = func.coalesce(Deliveries.next_at, 0.0) < at
        over = or_(Deliveries.state != DeliveryState.PENDING, given_up)
        found.append(_Old(Deliveries, Deliveries.row_id, over & (Deliveries.created_at < at)))
    if retention.calls is not None:
        at = now - retention.calls * DAY_S
        found.append(_Old(Calls, Calls.call_id, Calls.ended_at < at))
        found.append(_Old(Notes, Notes.note_id, Notes.at < at))
        found.append(_Old(Contexts, Contexts.call_id, Contexts.saved_at < at))
    return found


async def remove_old(database: Database, retention: Retention, now: float) -> int:
    """Remove what is older than it is to be kept; return how many rows went.

    now: seconds since 1970. Raises one of ``engine.FAILURES``.
    """
    removed = 0
    for old in _old(retention, now):
        some = select(old.key).where(old.which).limit(BATCH)
        while True:
            async with database.writing() as connection:
                gone = await connection.execute(delete(old.table).where(old.key.in_(some)))
            removed += gone.rowcount
            if gone.rowcount < BATCH:
                break
            await asyncio.sleep(_PAUSE_S)
    return removed


async def keep_removing(
    database: Database, retention: Retention, clock: Callable[[], float], *, first_s: float = 60.0
) -> None:
    """Remove what is old, every hour; the first time after so many seconds."""
    await asyncio.sleep(first_s)
    while True:
        try:
            removed = await remove_old(database, retention, clock())
        except FAILURES as error:
            _log.warning("old records were not removed from the store: %s", say(error))
        else:
            _log.info("%d old records were removed from the store", removed)
        await asyncio.sleep(_EVERY_S)
