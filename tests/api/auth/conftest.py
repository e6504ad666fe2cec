"""A running API with a real store, so that keys are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.lab.fake_ari import FakeAri
from bridge.store.store import Store
from tests.support.daemon import RunningApi, running_api


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store in a file."""
    store = await Store.open(f"sqlite:///{tmp_path / 'store.db'}", spool=tmp_path / "spool")
    yield store
    await store.close()


@pytest.fixture
async def keeping(fake: FakeAri, tmp_path: Path, store: Store) -> AsyncIterator[RunningApi]:
    """The API, with this store."""
    async with running_api(fake, tmp_path, store=store) as running:
        yield running
