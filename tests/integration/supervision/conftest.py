"""A program that watches a PBX."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.supervision.floor import Floor, opened
from tests.support.pbx import Pbx


@pytest.fixture
async def floor(pbx: Pbx) -> AsyncIterator[Floor]:
    async with opened(pbx) as floor:
        yield floor
