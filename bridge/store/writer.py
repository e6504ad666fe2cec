"""From memory to the spool, and from the spool to the database.

Two tasks: neither waits for the other, and nobody waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from bridge.ari.backoff import Backoff
from bridge.model.errors import ConfigurationError, StoreError
from bridge.store import migrate
from bridge.store.codec import encode, kind_of
from bridge.store.engine import FAILURES, Database, say
from bridge.store.framing import Frame, Kind, pack
from bridge.store.intake import Intake
from bridge.store.records import Writable
from bridge.store.rows import Rows
from bridge.store.spool import Spool
from bridge.store.tables import Spools

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

GATHER_S: Final = 0.02
"""How long the spool waits for more before it writes: one wait for the disk for many records."""
BATCH: Final = 100
"""Records in one turn of the loop: a few milliseconds' work, since calls' audio runs beside."""
BATCH_BYTES: Final = 256 * 1024
_MICROSECONDS: Final = 1_000_000
_REFUSALS: Final = ("22", "23", "54")
"""Classes of SQLSTATE that are the record's fault: bad data, what a constraint forbids, and what is
more than PostgreSQL has room for, as in a row of an index."""
_KEPT_REFUSALS_BYTES: Final = 1024 * 1024
_SHOWN: Final = 500
_CANCEL_S: Final = 0.2
_THREADS: Final = 2
"""One writes to the spool while the other reads from it."""


class Writer:
    """Takes records and stores each once, in order, however long that takes.

    clock: seconds since 1970. What it has not brought to the spool (some 20 ms and a wait for the
    disk) is lost when the process is killed; the rest is not, nor when the machine loses power.
    """

    def __init__(
        self,
        database: Database,
        spool: Spool,
        *,
        clock: Callable[[], float],
        backoff: Backoff | None = None,
        intake: Intake | None = None,
    ) -> None:
        self._database = database
        self._spool = spool
        self._rows = Rows(database, spool.id)
        self._backoff = backoff or Backoff(shortest_s=0.1, longest_s=5.0)
        # Serials of one life are beyond those of every other, even where the spool was put back
        # from a copy: what has been stored is known by its serial alone.
        self._serial = max(spool.last_serial, int(clock() * _MICROSECONDS))
        self._intake = Intake() if intake is None else intake
        self._unspooled: list[Frame] = []
        self._spooled = 0
        self._stored: int | None = None
        self._failures = 0
        # Those of the loop may all be taken, by lookups of names that nobody answers, for instance.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._disk = asyncio.Lock()
        self._written = asyncio.Event()
        self._hurry = asyncio.Event()
        self._arrived = asyncio.Event()
        self._memory_moved = asyncio.Event()
        self._progress = asyncio.Condition()
        self._tried = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.refused = 0
        """Records that the database will not have: they are in the spool's ``refused.log``."""
        self.unwritable = 0
        """Things that were no record."""
        self.spool_trouble = ""
        self.database_trouble = ""
        self._unusable: ConfigurationError | None = None

    async def start(self, within_s: float) -> None:
        """Begin; return when the database was tried once, or after so many seconds.

        Raises ConfigurationError if it is there, and is not to be used; it is tried on even so.
        """
        self._spooled = await self._in_thread(self._spool.count, 0)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._spool_forever(), name="store: spool"),
            loop.create_task(self._store_forever(), name="store: database"),
        ]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), within_s)
        if self._unusable is not None:
            raise self._unusable

    async def close(self, within_s: float) -> None:
        """Bring all to the spool, and to the database what can be in so many seconds; then end."""
        if not self.database_trouble:
            await self.settled(within_s)
        # Whoever has this lock knows that no thread writes to the spool.
        async with self._disk:
            await self._end_tasks()
        while (self._intake or self._unspooled) and await self._flush():
            pass
        if left := len(self._intake) + len(self._unspooled):
            _log.error("the store ends with %d records that no disk took", left)
        self._threads.shutdown(wait=False)

    async def _end_tasks(self) -> None:
        left = set(self._tasks)
        while left:
            # More than once: what a broken connection raises may take the place of the first.
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=_CANCEL_S)

    async def _in_thread(self, work: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *arguments, **more))

    def put(self, record: Writable) -> None:
        """Take a record. Never raises: what is no record is counted and logged."""
        try:
            kind = kind_of(record)
        except TypeError as error:
            self.unwritable += 1
            _log.error("not stored: %s", error)
            return
        self._serial += 1
        self._intake.put(self._serial, kind, record)
        self._written.set()

    @property
    def backlog(self) -> int:
        """Number of records that the database has not got."""
        return len(self._intake) + len(self._unspooled) + self._spooled

    @property
    def dropped(self) -> Counter[Kind]:
        """Records that gave way, by kind."""
        return self._intake.dropped + self._spool.dropped

    async def settled(self, within_s: float) -> bool:
        """Wait until the database has what was taken before; False if it has not by then."""
        upto = self._serial

        def done() -> bool:
            return not self.backlog or (self._stored or 0) >= upto

        if done():
            return True
        self._hurry.set()
        try:
            async with asyncio.timeout(within_s), self._progress:
                await self._progress.wait_for(lambda: done() or bool(self.database_trouble))
        except TimeoutError:
            return False
        return done()

    def look(self) -> None:
        """Try the database now: somebody could not read from it."""
        self._hurry.set()
        self._arrived.set()

    # --- memory to spool

    async def _spool_forever(self) -> None:
        failures = 0
        while True:
            await self._written.wait()
            self._written.clear()
            if not self._hurry.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), GATHER_S)
            self._hurry.clear()
            while self._intake or self._unspooled:
                if await self._flush():
                    failures = 0
                    continue
                failures += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(
                        self._memory_moved.wait(), self._backoff.delay_s(failures)
                    )
                self._memory_moved.clear()

    async def _flush(self) -> bool:
        """Bring some records to the spool; False if the disk did not take them."""
        async with self._disk:
            # A commit whose answer was lost may have stored some after all.
            stored = self._stored or 0
            frames = [one for one in self._unspooled if one.serial > stored] or self._encoded()
            self._unspooled = frames
            if not frames:
                return True
            try:
                gone = await self._in_thread(self._spool.append, frames)
            except Exception as error:  # noqa: BLE001 - records wait: the next try may do
                fault = not isinstance(error, OSError)
                if fault or not self.spool_trouble:
                    _log.error("the store's spool takes nothing: %s", error, exc_info=fault)
                self.spool_trouble = (
                    f"the spool cannot be written: {_reason(error)}; records are kept in "
                    "memory and are lost with the process: make room on its disk"
                )
                self._arrived.set()
                return False
            if self.spool_trouble:
                _log.warning("the store's spool is written again")
            self.spool_trouble = ""
            self._unspooled = []
            self._spooled += len(frames) - gone.total()
            self._arrived.set()
            return True

    def _encoded(self) -> list[Frame]:
        frames = []
        for serial, kind, record in self._intake.take(BATCH):
            try:
                frames.append(Frame(serial, kind, encode(record)))
            except Exception:  # noqa: BLE001 - whatever a program put in there
                self.unwritable += 1
                _log.exception("not stored: a record that cannot be written as JSON")
        return frames

    # --- spool to database

    async def _store_forever(self) -> None:
        while True:
            try:
                await self._prepare()
                await self._drain()
            except (*FAILURES, StoreError) as error:
                await self._failed(say(error))
            except ConfigurationError as error:
                self._unusable = error
                await self._failed(error.error_message)
            except Exception as error:  # noqa: BLE001 - records wait: the next try may do
                _log.exception("the store's writer failed")
                await self._failed(f"{type(error).__name__}: {error}")
            self._failures += 1
            await asyncio.sleep(self._backoff.delay_s(self._failures))

    async def _prepare(self) -> None:
        """Connect, bring the schema up to date, and ask how far the spool is stored."""
        await self._in_thread(self._database.prepare)
        async with self._database.reading() as connection:
            revision = await migrate.current(connection)
        if revision != migrate.REVISIONS[-1]:
            await migrate.upgrade(self._database.url)
        async with self._database.writing() as connection:
            found = await connection.execute(
                select(Spools.stored).where(Spools.spool_id == self._spool.id)
            )
            stored = found.scalar() or 0
        # The clock was set back since: what is written from now on is not stored yet even so.
        self._serial = max(self._serial, stored)
        if stored != self._stored:
            # The start; or a commit whose answer was lost; or another database than before.
            async with self._disk:
                self._spooled = await self._in_thread(self._spool.count, stored)
            self._stored = stored

    async def _drain(self) -> None:
        while True:
            stored = await self._store_spooled(self._stored or 0) or await self._store_unspooled()
            await self._works()
            if stored:
                continue
            if not self._disk.locked() and self._spool.last_serial <= (self._stored or 0):
                self._spooled = 0
            await self._arrived.wait()
            self._arrived.clear()
            if not self.backlog:
                async with self._database.reading() as connection:
                    await connection.execute(select(Spools.stored).limit(1))

    async def _store_spooled(self, behind: int) -> bool:
        """Store what the spool holds behind a serial number."""
        frames = await self._in_thread(self._spool.read, behind, frames=BATCH, size=BATCH_BYTES)
        if not frames:
            return False
        await self._store(frames)
        self._spooled = max(0, self._spooled - len(frames))
        return True

    async def _store_unspooled(self) -> bool:
        """Store what the disk did not take, past the spool, which has nothing before it."""
        if not self._unspooled or not self.spool_trouble:
            return False
        async with self._disk:
            if frames := self._unspooled:
                await self._store(frames)
                self._unspooled = []
                self._memory_moved.set()
        return True

    async def _store(self, frames: list[Frame]) -> None:
        try:
            async with self._database.writing() as connection:
                await self._rows.store(connection, frames)
        except Exception as error:
            if not is_refusal(error):
                raise
            await self._store_singly(frames)
        self._stored = frames[-1].serial

    async def _store_singly(self, frames: list[Frame]) -> None:
        """Store what can be, and put aside what the database will never have."""
        for frame in frames:
            try:
                async with self._database.writing() as connection:
                    await self._rows.store(connection, [frame])
            except Exception as error:
                if not is_refusal(error):
                    raise
                await self._in_thread(self._put_aside, frame, say(error))
                async with self._database.writing() as connection:
                    await self._rows.store_position(connection, frame.serial)

    def _put_aside(self, frame: Frame, why: str) -> None:
        self.refused += 1
        path = self._spool.folder / "refused.log"
        _log.error("the database refuses a record of %s: %s; see %s", frame.kind.name, why, path)
        try:
            with path.open("ab") as stream:
                if stream.tell() < _KEPT_REFUSALS_BYTES:
                    stream.write(pack(frame))
        except OSError as error:
            # What comes behind it is worth more.
            _log.error("it is not kept there either: %s", error)

    async def _moved(self) -> None:
        async with self._progress:
            self._progress.notify_all()

    async def _works(self) -> None:
        """Say so: not before something was stored, or there is nothing to store."""
        self._failures = 0
        if self.database_trouble:
            _log.warning("the store's database is back: %d records wait for it", self.backlog)
        self.database_trouble = ""
        self._unusable = None
        self._tried.set()
        await self._moved()

    async def _failed(self, why: str) -> None:
        if not self.database_trouble:
            _log.error("the store's database fails, calls go on: %s", why)
        self.database_trouble = why[:_SHOWN]
        self._tried.set()
        await self._moved()


def _reason(error: Exception) -> str:
    """Return what a disk says, or what else it was, without its number."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or f"{type(error).__name__}: {error}"


def is_refusal(error: BaseException) -> bool:
    """Tell whether it is the record's fault: no other try will do."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return False
        cause = error.orig
        state = getattr(cause, "sqlstate", None) or ""
        if isinstance(error, (IntegrityError, DataError)) or state[:2] in _REFUSALS:
            return True
        # Drivers say of a value that does not fit a column what Python says of it.
        return isinstance(cause.__cause__ if cause else None, (ValueError, TypeError))
    return isinstance(error, (msgspec.MsgspecError, OverflowError, ValueError, TypeError))
