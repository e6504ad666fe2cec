"""What all readings of the store have in common."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Executable, RowMapping, and_, or_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from bridge.model.errors import BadArgumentError, StoreError
from bridge.protocol.views import Page
from bridge.store.engine import FAILURES, Database, say
from bridge.store.records import Scope
from bridge.store.tables import Base
from bridge.store.writer import Writer, is_refusal

T = TypeVar("T")
Struct = TypeVar("Struct", bound=msgspec.Struct)

OWN_WRITES_S: Final = 1.0
"""How long a reading waits for what was written before it."""


class Access:
    """The database, for reading and for what is not queued."""

    def __init__(self, database: Database, writer: Writer, spool_id: str) -> None:
        self._database = database
        self._writer = writer
        self._spool_id = spool_id

    async def _rows(self, query: Executable, *, written: bool = True) -> Sequence[RowMapping]:
        """Return the rows of a query; written: of what was written before, too.

        Raises StoreError.
        """
        if written:
            await self._writer.settled(OWN_WRITES_S)
        self._require()
        try:
            async with self._database.reading() as connection:
                return (await connection.execute(query)).mappings().all()
        except (*FAILURES, ArithmeticError, ValueError) as error:
            if is_refusal(error):
                # Asked for what no row can hold, such as a number of a hundred digits.
                return ()
            raise self._failed(error) from error

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[AsyncConnection]:
        """Give a transaction, for what is not queued; it is committed at the end.

        Raises StoreError, and BadArgumentError for what no database keeps, or has already.
        """
        self._require()
        try:
            async with self._database.writing() as connection:
                yield connection
        except (*FAILURES, ArithmeticError, ValueError) as error:
            if is_refusal(error):
                raise BadArgumentError(f"the store cannot keep this: {say(error)}") from error
            raise self._failed(error) from error

    async def _settle(self) -> None:
        """Wait until the database has all that was written. Raises StoreError."""
        if not await self._writer.settled(OWN_WRITES_S):
            self._require()
            raise StoreError(
                "the store's database is behind with what was written: try again in a moment"
            )

    def _require(self) -> None:
        if self._writer.database_trouble:
            raise StoreError(down(self._writer.database_trouble))

    def _failed(self, error: BaseException) -> StoreError:
        self._writer.look()
        return StoreError(down(say(error)))


def down(why: str) -> str:
    """Return what is said of a database that does not do its work."""
    return (
        f"the store's database cannot be used: {why}. Calls go on, and what is written is kept "
        "for it: start the database, make room on its disk, or correct the store's URL"
    )


def columns(
    table: type[Base], view: type[msgspec.Struct]
) -> tuple[InstrumentedAttribute[Any], ...]:
    """Return the columns that have the names of a view's fields."""
    return tuple(getattr(table, name) for name in view.__struct_fields__)


def as_view(view: type[Struct]) -> Callable[[RowMapping], Struct]:
    """Return what makes a view of a row that has its columns, and perhaps more."""
    names = view.__struct_fields__
    return lambda row: view(**{name: row[name] for name in names})


def page(
    rows: Sequence[RowMapping], limit: int, shown: Callable[[RowMapping], T], *place: str
) -> Page[T]:
    """Return a page of what was read, and where the next one begins if there is more.

    rows: of a query for one more than ``limit``. place: the columns by which they are in order.
    """
    found = rows[:limit]
    more = len(rows) > limit
    return Page(
        items=tuple(map(shown, found)),
        next=make_cursor(*(found[-1][name] for name in place)) if more else None,
    )


def make_cursor(*values: object) -> str:
    """Return where the next page begins, for ``read_cursor``."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def read_cursor(cursor: str, kinds: type[T]) -> T:
    """Return what ``make_cursor`` was given. kinds: a tuple type.

    Raises BadArgumentError for what it never made.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=kinds)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise BadArgumentError(
            "the cursor is of no page of this list: begin without one"
        ) from error


def inside(
    scope: Scope,
    tenant: InstrumentedAttribute[str],
    queue: InstrumentedAttribute[str] | None = None,
) -> list[ColumnElement[bool]]:
    """Return the conditions that limit a query to a scope, by the columns given."""
    conditions: list[ColumnElement[bool]] = []
    if scope.tenant is not None:
        conditions.append(tenant == scope.tenant)
    if scope.queues and queue is not None:
        conditions.append(queue.in_(sorted(scope.queues)))
    return conditions


def beyond(
    first: InstrumentedAttribute[float],
    second: InstrumentedAttribute[str],
    place: tuple[float, str],
    *,
    newest_first: bool = False,
) -> ColumnElement[bool]:
    """Return the condition for what stands after a place, in the order of two columns."""
    if newest_first:
        return or_(first < place[0], and_(first == place[0], second < place[1]))
    return or_(first > place[0], and_(first == place[0], second > place[1]))
