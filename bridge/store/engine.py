"""The way to the database: SQLite or PostgreSQL, by the same statements."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiosqlite
import asyncpg
from sqlalchemy import URL, AdaptedConnection, Connection, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bridge.model.errors import ConfigurationError
from bridge.store.tables import Base

Insert = sqlite.Insert | postgresql.Insert

FAILURES: Final = (
    SQLAlchemyError,
    OSError,
    TimeoutError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
"""What a database that cannot do its work raises."""

CONNECT_S: Final = 3.0
STATEMENT_S: Final = 20.0
"""Of a statement of the writer; a reader waits less: ``reading``."""
READ_S: Final = 5.0
_BUSY_MS: Final = 5_000
_CLOSE_S: Final = 1.0
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}
_EXAMPLES: Final = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME"
_PARAMETERS: Final = frozenset({"host", "port", "prepared_statement_cache_size", "ssl"})
"""Of a PostgreSQL's URL. What else there were would be refused by the driver, at every attempt."""
_TLS: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def parse_url(text: str) -> URL:
    """Return the URL with its driver.

    Raises ConfigurationError for one that no store can be opened by.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        # The text is not repeated: there may be a password in it.
        raise ConfigurationError(f"the store's URL is none: write {_EXAMPLES}") from error
    driver = _DRIVERS.get(url.drivername.partition("+")[0])
    if driver is None:
        raise ConfigurationError(
            f"the store knows no database {url.drivername!r}: write {_EXAMPLES}"
        )
    url = url.set(drivername=driver)
    if not url.database or url.database == ":memory:":
        raise ConfigurationError(f"the store's URL names no database: write {_EXAMPLES}")
    return url if url.get_backend_name() == "sqlite" else _as_asyncpg_has_it(url)


def _as_asyncpg_has_it(url: URL) -> URL:
    """Return the URL with parameters that the driver takes: libpq's ``sslmode`` is its ``ssl``."""
    query = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    if unknown := sorted(query.keys() - _PARAMETERS):
        raise ConfigurationError(
            f"the store's URL has a parameter that is not known: {unknown[0]}; there are sslmode, "
            f"{', '.join(sorted(_PARAMETERS - {'ssl'}))}"
        )
    if query.get("ssl", _TLS[0]) not in _TLS:
        raise ConfigurationError(f"the store's URL: sslmode is one of {', '.join(_TLS)}")
    return url.set(query=query)


def make_engine(
    url: URL, *, writes: bool, size: int, statement_s: float = STATEMENT_S
) -> AsyncEngine:
    """Return an engine with connections for reading, or for writing."""
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(
            url, pool_size=size, max_overflow=0, pool_timeout=READ_S, connect_args={"timeout": 5}
        )
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_writing if writes else _begin_reading)
        return engine
    return create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=READ_S,
        pool_pre_ping=True,
        connect_args={"timeout": CONNECT_S, "command_timeout": statement_s},
    )


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    # Transactions begin as _begin_* says, not when the driver thinks that one is needed.
    connection.isolation_level = None
    cursor = connection.cursor()
    # Readers do not wait for the writer, and what is stored survives the machine's power.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    cursor.close()


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once beside another writer.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Database:
    """Connections to one database. None is made before it is needed."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._readers = make_engine(url, writes=False, size=4)
        self._writers = make_engine(url, writes=True, size=2)
        self._opened: weakref.WeakSet[asyncpg.Connection] = weakref.WeakSet()
        self._interrupting: set[asyncio.Task[None]] = set()
        if not self.is_sqlite:
            for engine in (self._readers, self._writers):
                event.listen(engine.sync_engine, "connect", self._remember)

    def _remember(self, connection: AdaptedConnection, _record: object) -> None:
        self._opened.add(connection.driver_connection)

    def prepare(self) -> None:
        """Make a database that is a file, its owner's alone. Raises OSError."""
        if self.is_sqlite and self.url.database:
            path = Path(self.url.database).absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for a few seconds of reading. Raises one of FAILURES."""
        async with (
            asyncio.timeout(READ_S),
            self._readers.connect() as connection,
            self._let_go(connection, READ_S),
        ):
            yield connection

    @asynccontextmanager
    async def writing(self, within_s: float = STATEMENT_S) -> AsyncIterator[AsyncConnection]:
        """Give a transaction, which is committed at the end. Raises one of FAILURES."""
        async with (
            asyncio.timeout(within_s),
            self._writers.begin() as connection,
            self._let_go(connection, within_s),
        ):
            yield connection

    @asynccontextmanager
    async def _let_go(self, connection: AsyncConnection, within_s: float) -> AsyncIterator[None]:
        """End at once what a connection does for a block that takes too long, or is cancelled.

        What it would be told else, to roll back, is what a server that stands still does not do,
        and SQLite not before its query has come to its end.
        """
        driver = (await connection.get_raw_connection()).driver_connection
        late = asyncio.get_running_loop().call_later(within_s, self._interrupt, driver)
        try:
            yield
        except asyncio.CancelledError:
            if driver is not None and not self.is_sqlite:
                driver.terminate()
            raise
        finally:
            late.cancel()

    def _interrupt(self, driver: object) -> None:
        if isinstance(driver, aiosqlite.Connection):
            task = asyncio.get_running_loop().create_task(driver.interrupt())
            self._interrupting.add(task)
            task.add_done_callback(self._interrupting.discard)

    def insert(self, table: type[Base]) -> Insert:
        """Return an insert that knows what to do about a row that is there already."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    async def close(self) -> None:
        """Close all connections: politely, but no longer than that takes a server that answers."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._readers.dispose()
                await self._writers.dispose()
        for connection in list(self._opened):
            connection.terminate()


def say(error: BaseException) -> str:
    """Return what a failure of the database was, in one line, without what was to be written."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    cause: BaseException = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    name = type(cause.__cause__ or cause).__name__
    return lines[0].rpartition(">: ")[2] if lines else name
