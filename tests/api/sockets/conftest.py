"""A running API whose calls are whatever a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.lab.fake_ari import FakeAri
from tests.support.daemon import FOREIGN_TENANT, RunningApi, running_api
from tests.support.sockets import Shown, call_of


@pytest.fixture
def shown() -> Shown:
    """A call of the tenant of all keys but foreign ones, and one of theirs."""
    return Shown(call_of("c-1"), call_of("c-2"), call_of("c-foreign", FOREIGN_TENANT))


@pytest.fixture
async def told(fake: FakeAri, tmp_path: Path, shown: Shown) -> AsyncIterator[RunningApi]:
    """The API, which shows these calls."""
    async with running_api(fake, tmp_path, views=shown) as running:
        yield running
