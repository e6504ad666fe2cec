"""A store on each database that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bridge.store.engine import Database, parse_url
from bridge.store.store import Store
from tests.support.pbx import assert_no_task_left
from tests.support.postgres import PostgresServer, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests that do it no harm."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def breakable_postgres() -> Iterator[PostgresServer]:
    """A server for all tests that do it harm."""
    with running() as server:
        yield server


@pytest.fixture
def own_postgres(breakable_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server that the test may stop, kill or freeze; afterwards it works again."""
    yield breakable_postgres
    breakable_postgres.mend()


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    made = await server.create()
    yield made
    await server.drop(made)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Connections of the test's own to the database."""
    opened = Database(parse_url(url))
    yield opened
    await opened.close()


@pytest.fixture
async def store(url: str, tmp_path: Path) -> AsyncIterator[Store]:
    """A store on an empty database; no task may be left."""
    before = asyncio.all_tasks()
    opened = await Store.open(url, spool=tmp_path / "spool")
    assert opened.health == "ok"
    yield opened
    await opened.close()
    await assert_no_task_left(before)
