"""A running API for tests of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.lab.fake_ari import FakeAri
from tests.api.desk import Desk, opened
from tests.support.daemon import RunningApi, running_api
from tests.support.pbx import Pbx


@pytest.fixture
async def fake() -> AsyncIterator[FakeAri]:
    """A fake Asterisk."""
    async with FakeAri() as fake:
        yield fake


@pytest.fixture
async def api(fake: FakeAri, tmp_path: Path) -> AsyncIterator[RunningApi]:
    """The API on the fake Asterisk."""
    async with running_api(fake, tmp_path) as running:
        yield running


@pytest.fixture
async def real_api(pbx: Pbx, tmp_path: Path) -> AsyncIterator[RunningApi]:
    """The API on the shared real Asterisk of ``pbx``."""
    async with running_api(pbx.instance, tmp_path) as running:
        yield running


@pytest.fixture
async def desk(pbx: Pbx, tmp_path: Path) -> AsyncIterator[Desk]:
    """The API on the shared real Asterisk, and people whose ears are exact."""
    async with opened(pbx, tmp_path) as desk:
        yield desk
