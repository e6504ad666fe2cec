"""Fixtures for tests of all kinds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bridge.lab.asterisk import Instance
from tests.support import undecided
from tests.support.pbx import Pbx, assert_no_task_left, open_observer
from tests.support.shared import SharedAsterisk

_TESTS = Path(__file__).parent
_FOLDERS = {
    "audio": "quiet",
    "integration/recording": "quiet",
    "integration/restart": "quiet",
    "property": "busy",
    "api/fuzz": "busy",
}
"""What all tests of a folder need of the processors, unless one says otherwise."""
_KINDS = ("busy", "quiet", "alone")

# How long an example takes says nothing beside other tests.
settings.register_profile(
    "beside others", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("beside others")


def pytest_configure(config: pytest.Config) -> None:
    """Have failures written down that are to be looked at again."""
    undecided.register(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what tests need of the processors: before ``-m`` chooses."""
    for item in items:
        if any(item.get_closest_marker(kind) for kind in _KINDS):
            continue
        for folder, kind in _FOLDERS.items():
            if item.path.is_relative_to(_TESTS / folder):
                item.add_marker(kind)


@pytest.fixture(scope="session")
def shared_asterisk() -> Iterator[SharedAsterisk]:
    """An Asterisk for all tests that leave it as it was."""
    shared = SharedAsterisk("tests")
    yield shared
    shared.discard()


@pytest.fixture
async def pbx(shared_asterisk: SharedAsterisk) -> AsyncIterator[Pbx]:
    """The shared Asterisk; afterwards no channel, bridge or task may be left."""
    before = asyncio.all_tasks()
    async with shared_asterisk.lent() as (asterisk, observer), AsyncExitStack() as stack:
        yield Pbx(asterisk, observer, stack)
    await assert_no_task_left(before)


@pytest.fixture
async def own_pbx() -> AsyncIterator[Pbx]:
    """An Asterisk of the test's own, which it may kill; no task may be left."""
    before = asyncio.all_tasks()
    instance = await asyncio.to_thread(Instance.start, f"own-{os.getpid()}", tied=True)
    observer = await open_observer(instance)
    try:
        async with AsyncExitStack() as stack:
            yield Pbx(instance, observer, stack)
    finally:
        await observer.close()
        await asyncio.to_thread(instance.stop)
    await assert_no_task_left(before)
