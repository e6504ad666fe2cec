"""An application of the test's own on the shared Asterisk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.integration.seats.office import Office, Supervisor
from tests.support.pbx import Pbx


@pytest.fixture
async def office(pbx: Pbx) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        office = Office(pbx, stack)
        stack.push_async_callback(office.ari.close)
        await office.ari.open()
        yield office


@pytest.fixture
async def supervisor(office: Office) -> Supervisor:
    return office.supervisor()
