"""A room for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.integration.audibility.room import Room, open_room
from tests.support.pbx import Pbx


@pytest.fixture
async def room(pbx: Pbx) -> AsyncIterator[Room]:
    """A call of others that is about to be observed."""
    async with AsyncExitStack() as stack:
        yield await open_room(pbx, stack)
