"""The database is down, slow, locked or full: who writes does not notice, and nothing is lost."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from bridge.lab.waiting import until
from bridge.model.errors import ConfigurationError, ErrorCode, StoreError
from bridge.protocol.requests import AuditListing, EventListing
from bridge.store.engine import Database, make_engine, parse_url
from bridge.store.framing import Kind
from bridge.store.intake import Intake
from bridge.store.spool import Spool
from bridge.store.store import Store
from bridge.store.writer import Writer
from tests.support.postgres import PostgresServer
from tests.support.records import audit, event, key, note


async def note_ids(store: Store) -> list[str]:
    return [one.note_id for one in (await store.notes("c1", limit=500)).items]


async def all_seqs(store: Store) -> list[int]:
    """Return the numbers of all events, in the store's order."""
    seqs: list[int] = []
    cursor: str | None = None
    while True:
        page = await store.events(EventListing(limit=500, cursor=cursor))
        seqs += [one.seq for one in page.items]
        cursor = page.next
        if cursor is None:
            return seqs


async def stored(store: Store, *, within_s: float = 15.0) -> None:
    """Wait until the database has all that was written."""
    await until(
        lambda: not store.backlog and store.health == "ok", "all is stored", within_s=within_s
    )


async def test_a_database_that_is_down_at_the_start_is_waited_for(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    url = await own_postgres.create()
    await asyncio.to_thread(own_postgres.crash)
    store = await Store.open(url, spool=tmp_path / "spool")
    assert "database cannot be used" in store.health
    assert own_postgres.password not in store.health
    store.write(note("n1"))
    with pytest.raises(StoreError, match="Calls go on") as failure:
        await store.notes("c1")
    assert failure.value.error_code is ErrorCode.STORE_UNAVAILABLE
    with pytest.raises(StoreError):
        await store.add_key(key())
    assert store.backlog == 1
    await asyncio.to_thread(own_postgres.resume_service)
    await stored(store)
    assert await note_ids(store) == ["n1"]
    await store.close()


async def test_a_program_that_ends_meanwhile_leaves_all_to_the_next(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    url = await own_postgres.create()
    store = await Store.open(url, spool=tmp_path / "spool")
    store.write(note("n1", at=1.0))
    assert await note_ids(store) == ["n1"]
    await asyncio.to_thread(own_postgres.crash)
    for number in range(2, 300):
        store.write(note(f"n{number}", at=float(number)))
        store.write(audit(f"a{number}"))
    began = time.monotonic()
    await store.close()
    assert time.monotonic() - began < 5.0
    store = await Store.open(url, spool=tmp_path / "spool")
    assert 2 * 298 <= store.backlog <= 2 * 298 + 1
    store.write(note("n300", at=300.0))
    await asyncio.to_thread(own_postgres.resume_service)
    await stored(store)
    assert await note_ids(store) == [f"n{number}" for number in range(1, 301)]
    found = await store.audit(AuditListing(limit=500))
    assert [one.what for one in found.items] == [f"a{number}" for number in range(299, 1, -1)]
    await store.close()


async def test_a_database_that_stands_still_holds_nobody_up(
    own_postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.engine.READ_S", 0.5)
    monkeypatch.setattr("bridge.store.access.OWN_WRITES_S", 0.2)
    url = await own_postgres.create()
    store = await Store.open(url, spool=tmp_path / "spool")
    store.write(note("n1", at=1.0))
    assert await note_ids(store) == ["n1"]
    await asyncio.to_thread(own_postgres.freeze)
    store.write(note("n2", at=2.0))
    began = time.monotonic()
    with pytest.raises(StoreError, match="no answer"):
        await store.notes("c1")
    assert time.monotonic() - began < 5.0
    await asyncio.to_thread(own_postgres.thaw)
    await stored(store, within_s=30.0)
    assert await note_ids(store) == ["n1", "n2"]
    await store.close()


async def test_a_database_that_stands_still_does_not_hold_up_the_end(
    own_postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.store._LAST_TRY_S", 0.3)
    url = await own_postgres.create()
    store = await Store.open(url, spool=tmp_path / "spool")
    store.write(note("n1", at=1.0))
    assert await note_ids(store) == ["n1"]
    await asyncio.to_thread(own_postgres.freeze)
    store.write(note("n2", at=2.0))
    began = time.monotonic()
    await store.close()
    assert time.monotonic() - began < 8.0
    await asyncio.to_thread(own_postgres.thaw)
    store = await Store.open(url, spool=tmp_path / "spool")
    assert await note_ids(store) == ["n1", "n2"]
    await store.close()


async def test_a_locked_database_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await Store.open(f"sqlite:///{path}", spool=tmp_path / "spool")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA busy_timeout = 5000")
    other.execute("BEGIN IMMEDIATE")
    store.write(note("n1"))
    await until(lambda: list((tmp_path / "spool").glob("*.spool")), "it is in the spool")
    assert store.backlog == 1
    # Whoever reads is not held up by a lock, and sees what is there.
    assert await note_ids(store) == []
    other.execute("ROLLBACK")
    other.close()
    await stored(store)
    assert await note_ids(store) == ["n1"]
    await store.close()


async def test_a_full_database_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[AsyncEngine] = []

    def recorded(url: URL, *, writes: bool, size: int) -> AsyncEngine:
        made.append(make_engine(url, writes=writes, size=size))
        return made[-1]

    monkeypatch.setattr("bridge.store.engine.make_engine", recorded)
    url = f"sqlite:///{tmp_path}/store.db"
    store = await Store.open(url, spool=tmp_path / "spool")
    store.write(note("n1", at=1.0))
    assert await note_ids(store) == ["n1"]
    _, writers = made
    async with writers.connect() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    numbers = range(2, 100)
    for number in numbers:
        store.write(note(f"n{number}", at=float(number), text="x" * 5000))
    await until(lambda: "full" in store.health, "the database says that it is full")
    assert store.backlog == len(numbers)
    with pytest.raises(StoreError, match="full"):
        await store.notes("c1")
    await writers.dispose()
    await stored(store)
    assert len(await note_ids(store)) == 99
    await store.close()


async def test_a_table_that_is_missing_loses_nothing(
    url: str, database: Database, tmp_path: Path
) -> None:
    store = await Store.open(url, spool=tmp_path / "spool")
    async with database.writing() as connection:
        await connection.exec_driver_sql("ALTER TABLE notes RENAME TO gone")
    store.write(note("n1"))
    await until(lambda: "notes" in store.health, "the database says what is missing")
    assert (store.backlog, store.lost) == (1, 0)
    async with database.writing() as connection:
        await connection.exec_driver_sql("ALTER TABLE gone RENAME TO notes")
    await stored(store)
    assert await note_ids(store) == ["n1"]
    await store.close()


async def test_another_database_gets_what_is_written_from_then_on(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/one.db", spool=tmp_path / "spool")
    store.write(note("n1", at=1.0))
    await store.close()
    store = await Store.open(f"sqlite:///{tmp_path}/two.db", spool=tmp_path / "spool")
    store.write(note("n2", at=2.0))
    await stored(store)
    assert "n2" in await note_ids(store)
    await store.close()


async def test_a_spool_put_back_from_a_copy_costs_nothing(tmp_path: Path) -> None:
    url, folder = f"sqlite:///{tmp_path}/store.db", tmp_path / "spool"
    store = await Store.open(url, spool=folder)
    await store.close()
    shutil.copytree(folder, tmp_path / "copy")
    store = await Store.open(url, spool=folder)
    for number in range(100):
        store.write(note(f"n{number:02}"))
    await stored(store)
    await store.close()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    store = await Store.open(url, spool=folder)
    store.write(note("new"))
    await stored(store)
    assert len(await note_ids(store)) == 101
    await store.close()


async def test_a_spool_without_room_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/store.db", spool=tmp_path / "spool")
    full = OSError(28, "No space left on device")

    def append(*_: object) -> None:
        raise full

    monkeypatch.setattr(store._spool, "append", append)
    for number in range(250):
        store.write(note(f"n{number:03}"))
    await until(lambda: not store.backlog, "the database has all")
    assert "No space left" in store.health
    assert await note_ids(store) == [f"n{number:03}" for number in range(250)]
    monkeypatch.undo()
    store.write(note("n250"))
    await stored(store)
    assert len(await note_ids(store)) == 251
    await store.close()


async def test_without_database_and_room_memory_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    spool = Spool.open(folder)
    database = Database(parse_url("postgresql://nobody:x@127.0.0.1:9/none"))
    writer = Writer(database, spool, clock=time.time, intake=Intake(bound=50))
    await writer.start(5.0)

    def append(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "append", append)
    for number in range(1, 501):
        writer.put(event(number))
        if number % 10 == 0:
            writer.put(note(f"n{number}"))
    assert writer.dropped == {Kind.EVENT: 450}
    assert writer.backlog == 100
    await until(lambda: writer.spool_trouble, "the spool fails")
    assert writer.backlog == 100
    monkeypatch.undo()
    await writer.close(1.0)
    await database.close()
    assert spool.count(0) == 100
    spool.close()


async def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    program = dedent(
        f"""
        import asyncio, os, signal
        from pathlib import Path
        from bridge.store.store import Store
        from tests.support.records import event

        async def main():
            store = await Store.open({url!r}, spool=Path({str(tmp_path / "spool")!r}))
            for seq in range(1, 100_000):
                store.write(event(seq))
                if seq % 50 == 0:
                    print(seq, flush=True)
                    await asyncio.sleep(0.01)

        asyncio.run(main())
        """
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert child.stdout is not None
    told: list[tuple[float, int]] = []
    while line := await child.stdout.readline():
        told.append((time.monotonic(), int(line)))
        if told[-1][1] >= 2000:
            child.kill()
            break
    killed = time.monotonic()
    rest = await child.stdout.read()
    written = int(rest.split()[-1] if rest else told[-1][1]) + 50
    await child.wait()
    store = await Store.open(url, spool=tmp_path / "spool")
    await stored(store)
    seqs = await all_seqs(store)
    await store.close()
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) <= written
    # Of what was written a second before, nothing is missing, on however busy a machine.
    assert len(seqs) >= max((seq for at, seq in told if at < killed - 1.0), default=0)
    assert len(seqs) > 500


async def test_two_daemons_do_not_share_a_spool(store: Store, url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="in use"):
        await Store.open(url, spool=tmp_path / "spool")
    store.write(note("n1"))
    assert await note_ids(store) == ["n1"]


async def test_a_clock_that_is_set_back_costs_no_record(url: str, tmp_path: Path) -> None:
    now = time.time()
    for life, ahead in enumerate((3600.0, 3600.0, 0.0)):
        store = await Store.open(url, spool=tmp_path / "spool", clock=partial(float, now + ahead))
        if life != 1:
            store.write(note(f"n{life}"))
        await stored(store)
        await store.close()
    store = await Store.open(url, spool=tmp_path / "spool")
    assert await note_ids(store) == ["n0", "n2"]
    await store.close()


async def test_nor_one_that_is_set_back_while_the_database_is_down(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    url, now = await own_postgres.create(), time.time()
    for life in range(2):
        store = await Store.open(url, spool=tmp_path / "spool", clock=lambda: now)
        if life == 0:
            store.write(note("n1", at=1.0))
        # Nothing of what was stored before is needed any more.
        await stored(store)
        await store.close()
    await asyncio.to_thread(own_postgres.crash)
    store = await Store.open(url, spool=tmp_path / "spool", clock=lambda: now - 3600.0)
    store.write(note("n2", at=2.0))
    await asyncio.to_thread(own_postgres.resume_service)
    await stored(store)
    assert await note_ids(store) == ["n1", "n2"]
    await store.close()


async def test_a_record_that_is_refused_costs_nothing_even_if_it_cannot_be_put_aside(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "spool" / "refused.log").mkdir()
    store.write(event(2**70))
    store.write(note("n1"))
    await stored(store)
    assert (await note_ids(store), store.lost) == (["n1"], 1)


async def test_threads_that_others_hold_keep_nothing_from_being_stored(store: Store) -> None:
    loop, released = asyncio.get_running_loop(), threading.Event()
    with ThreadPoolExecutor(1) as all_there_are:
        loop.set_default_executor(all_there_are)
        held = loop.run_in_executor(None, released.wait)
        try:
            store.write(note("n1"))
            await stored(store)
        finally:
            released.set()
            await held
            loop.set_default_executor(ThreadPoolExecutor())
    assert await note_ids(store) == ["n1"]


async def test_a_query_that_takes_too_long_is_ended(
    store: Store, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.engine.READ_S", 0.1)
    counting = (
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000000) "
        "SELECT max(n) FROM c"
    )
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with database.reading() as connection:
            await connection.exec_driver_sql(counting)
    assert time.monotonic() - began < 3.0
    monkeypatch.undo()
    store.write(note("n1"))
    assert await note_ids(store) == ["n1"]


async def test_a_fault_of_the_spool_is_no_end_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_spool: Spool, _frames: object) -> None:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as broken:
        broken.setattr(Spool, "append", fails)
        store.write(note("n1"))
        await until(lambda: "a fault of ours" in store.health, "it is told")
    store.write(note("n2"))
    await stored(store)
    assert await note_ids(store) == ["n1", "n2"]
