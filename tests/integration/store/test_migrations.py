"""The schema: what the migrations make is what the tables say, on both databases."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from subprocess import PIPE
from textwrap import dedent
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, table, text

from bridge.lab.waiting import until
from bridge.model.errors import ConfigurationError, StoreError
from bridge.store import migrate
from bridge.store.engine import Database, parse_url
from bridge.store.store import Store
from bridge.store.tables import Base
from tests.support.records import note


def test_the_program_knows_all_its_migrations() -> None:
    script = ScriptDirectory.from_config(migrate.configuration())
    known = [one.revision for one in script.walk_revisions()]
    assert tuple(reversed(known)) == migrate.REVISIONS


def differences(connection: Connection) -> list[Any]:
    settings = {"compare_type": True, "version_table": migrate.VERSION_TABLE}
    context = MigrationContext.configure(connection, opts=settings)
    return list(compare_metadata(context, Base.metadata))


async def test_the_migrations_make_what_the_tables_say(url: str) -> None:
    await migrate.upgrade(parse_url(url))
    database = Database(parse_url(url))
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
        assert await migrate.current(connection) == migrate.REVISIONS[-1]
    async with database.writing() as connection:
        await connection.execute(text("ALTER TABLE notes ADD COLUMN odd TEXT"))
    async with database.reading() as connection:
        assert len(await connection.run_sync(differences)) == 1
    await database.close()


async def test_two_daemons_may_begin_together(url: str, tmp_path: Path) -> None:
    stores = await asyncio.gather(
        *(Store.open(url, spool=tmp_path / f"spool{number}") for number in range(3))
    )
    for number, one in enumerate(stores):
        one.write(note(f"n{number}", at=float(number)))
    await until(lambda: not sum(one.backlog for one in stores), "all is stored")
    assert len((await stores[0].notes("c1")).items) == 3
    assert {one.health for one in stores} == {"ok"}
    for one in stores:
        await one.close()


async def test_daemons_of_several_processes_may_begin_together(url: str, tmp_path: Path) -> None:
    program = dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from bridge.store.store import Store

        async def main():
            store = await Store.open(sys.argv[1], spool=Path(sys.argv[2]))
            print(store.health)
            await store.close()

        asyncio.run(main())
        """
    )
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, url, str(tmp_path / f"spool{number}"), stdout=PIPE
        )
        for number in range(2)
    ]
    told = [(await child.communicate())[0] for child in children]
    assert told == [b"ok\n"] * 2


async def set_revision(url: str, revision: str) -> None:
    database = Database(parse_url(url))
    async with database.writing() as connection:
        versions = table(migrate.VERSION_TABLE, column("version_num"))
        await connection.execute(versions.update().values(version_num=revision))
    await database.close()


async def test_a_schema_of_before_is_brought_up_to_date(url: str, tmp_path: Path) -> None:
    store = await Store.open(url, spool=tmp_path / "spool")
    store.write(note("n1"))
    await store.close()
    database = Database(parse_url(url))
    async with database.writing() as connection:
        for index in (
            "ix_deliveries_webhook_id_call_id_state_row_id",
            "ix_deliveries_created_at",
            "ix_calls_ended_at",
            "ix_notes_at",
            "ix_contexts_saved_at",
        ):
            await connection.execute(text(f"DROP INDEX {index}"))
    await set_revision(url, "0001")
    store = await Store.open(url, spool=tmp_path / "spool")
    assert len((await store.notes("c1")).items) == 1
    await store.close()
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
        assert await migrate.current(connection) == migrate.REVISIONS[-1]
    await database.close()


async def test_a_newer_schema_is_left_alone_and_told(url: str, tmp_path: Path) -> None:
    first = await Store.open(url, spool=tmp_path / "spool")
    await first.close()
    await set_revision(url, "9999")
    with pytest.raises(ConfigurationError, match=r"9999.*install the newer"):
        await Store.open(url, spool=tmp_path / "spool")
    await set_revision(url, migrate.REVISIONS[-1])
    again = await Store.open(url, spool=tmp_path / "spool")
    assert again.health == "ok"
    await again.close()


async def test_a_schema_that_is_lost_is_made_again(url: str, tmp_path: Path) -> None:
    store = await Store.open(url, spool=tmp_path / "spool")
    store.write(note("n1"))
    assert len((await store.notes("c1")).items) == 1
    database = Database(parse_url(url))
    async with database.writing() as connection:
        for name in (*Base.metadata.tables, migrate.VERSION_TABLE):
            await connection.execute(text(f"DROP TABLE {name}"))
    await database.close()
    store.write(note("n2"))

    async def read() -> list[str]:
        try:
            return [one.note_id for one in (await store.notes("c1")).items]
        except StoreError:
            return []

    while not (found := await read()):
        await until(lambda: store.health == "ok", "the schema is made again")
    assert "n2" in found
    await store.close()


@pytest.mark.parametrize(
    "wrong",
    ["", "nonsense", "mysql://localhost/x", "sqlite://", "sqlite:///:memory:", "postgresql://h"],
)
async def test_a_url_that_makes_no_sense_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///PATH"):
        await Store.open(wrong, spool=tmp_path / "spool")
    assert not (tmp_path / "spool").exists()
