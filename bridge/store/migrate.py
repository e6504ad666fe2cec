"""Bringing the schema up to date: forward only, by one process at a time."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, String, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from bridge.model.errors import ConfigurationError
from bridge.store.engine import make_engine

VERSION_TABLE: Final = "callbridge_schema"
REVISIONS: Final = ("0001", "0002")
"""All migrations, oldest first: the last is what this version of callbridge knows."""
_FOLDER: Final = Path(__file__).parent / "migrations"
_STATEMENT_S: Final = 900.0
"""Of a migration: all rows of ten years may have to be read."""
_alone = threading.Lock()
"""What alembic works on is kept in variables of its modules: one thread at a time."""


async def current(connection: AsyncConnection) -> str | None:
    """Return the revision of the schema, None for an empty database.

    Raises ConfigurationError for one of a newer callbridge.
    """
    found = await connection.run_sync(_read)
    if found is not None and found not in REVISIONS:
        raise ConfigurationError(
            f"the store's schema is {found}, of another callbridge (this one knows "
            f"{REVISIONS[0]} to {REVISIONS[-1]}): install the newer one again, or name another "
            "database"
        )
    return found


def _read(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = select(column("version_num", String)).select_from(table(VERSION_TABLE))
    found = connection.execute(version).scalar()
    return None if found is None else str(found)


def configuration() -> Config:
    """Return alembic's configuration."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


async def upgrade(url: URL) -> None:
    """Carry out what migrations are missing.

    In a thread with a loop of its own: reading the migrations would hold up calls. Raises one of
    ``engine.FAILURES``.
    """

    def work() -> None:
        with _alone:
            asyncio.run(_upgrade(url))

    await asyncio.to_thread(work)


async def _upgrade(url: URL) -> None:
    engine = make_engine(url, writes=True, size=1, statement_s=_STATEMENT_S)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


def _run(connection: Connection) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
