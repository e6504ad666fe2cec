"""How alembic runs the migrations: on the connection that it is given, in one transaction."""

from __future__ import annotations

from typing import Final

from alembic import context
from sqlalchemy import Connection, text

from bridge.store.migrate import VERSION_TABLE
from bridge.store.tables import Base

_LOCK: Final = 7_026_150_911
"""Number of the lock that keeps two daemons from migrating one PostgreSQL at a time."""


def _run() -> None:
    connection: Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = '15s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        context.run_migrations()


_run()
