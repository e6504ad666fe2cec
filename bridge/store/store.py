"""What outlives calls, in a database that may be down: a call never waits for it.

::

    write() -> memory -> spool on disk -> database        (reads come from the database alone)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.store.access import down
from bridge.store.engine import Database, parse_url
from bridge.store.keyring import Keyring
from bridge.store.outbox import Outbox
from bridge.store.reading import Reading
from bridge.store.records import Writable
from bridge.store.retention import Retention, keep_removing
from bridge.store.spool import MAX_BYTES, Spool
from bridge.store.writer import Writer

_FIRST_TRY_S: Final = 5.0
_LAST_TRY_S: Final = 3.0


class Store(Reading, Keyring, Outbox):
    """The store of one daemon.

    Every read raises StoreError while the database cannot be reached, and BadArgumentError for a
    cursor that no page gave. A read waits up to a second for what was written before it, so that
    one reads one's own writes.
    """

    def __init__(self, database: Database, writer: Writer, spool: Spool) -> None:
        super().__init__(database, writer, spool.id)
        self._spool = spool
        self._retention: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        spool: Path,
        clock: Callable[[], float] = time.time,
        retention: Retention | None = None,
        max_spool_bytes: int = MAX_BYTES,
    ) -> Store:
        """Open the store and bring its schema up to date.

        url: ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST:PORT/NAME``. spool: a folder
        of this daemon alone, for what the database has not got yet; of more than so many bytes the
        oldest events give way, then audit and deliveries, then the rest. A database that is down
        is waited for in the background. Raises ConfigurationError if the URL makes no sense, the
        spool cannot be used, or the schema is of a newer callbridge.
        """
        database = Database(parse_url(url))
        files = await asyncio.to_thread(Spool.open, spool, max_bytes=max_spool_bytes)
        writer = Writer(database, files, clock=clock)
        store = cls(database, writer, files)
        try:
            await writer.start(_FIRST_TRY_S)
        except BaseException:
            await store.close()
            raise
        store._retention = asyncio.create_task(
            keep_removing(database, retention or Retention(), clock), name="store: retention"
        )
        return store

    async def close(self) -> None:
        """Write what there is, to the database if it is there, else to the spool; then end."""
        if self._retention is not None:
            self._retention.cancel()
            await asyncio.gather(self._retention, return_exceptions=True)
        await self._writer.close(_LAST_TRY_S)
        await self._database.close()
        await asyncio.to_thread(self._spool.close)

    def write(self, record: Writable) -> None:
        """Take a record, to be stored in its turn. Returns at once and never raises.

        From the loop's own thread. It is on disk some 20 ms later, and from then on survives the
        death of the process.
        """
        self._writer.put(record)

    @property
    def health(self) -> str:
        """``ok``, or what is wrong and what to do."""
        trouble = []
        if self._writer.database_trouble:
            trouble.append(f"{down(self._writer.database_trouble)} ({self.backlog} records wait)")
        if self._writer.spool_trouble:
            trouble.append(self._writer.spool_trouble)
        return "; ".join(trouble) or "ok"

    @property
    def backlog(self) -> int:
        """Number of records that the database has not got yet.

        Before it was reached for the first time: all that the spool holds, of which it may have
        the beginning.
        """
        return self._writer.backlog

    @property
    def lost(self) -> int:
        """Number of records that gave way, were damaged, or were refused, since the start."""
        writer = self._writer
        return writer.dropped.total() + writer.refused + writer.unwritable + self._spool.damaged
