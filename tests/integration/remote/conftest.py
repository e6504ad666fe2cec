"""The same tests as in process, with programs by URL: ``pbx`` is one with a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.support.pbx import assert_no_task_left
from tests.support.remote import RemotePbx
from tests.support.shared import SharedAsterisk


@pytest.fixture
async def pbx(shared_asterisk: SharedAsterisk) -> AsyncIterator[RemotePbx]:
    """The shared Asterisk; afterwards no channel, bridge or task may be left."""
    before = asyncio.all_tasks()
    async with shared_asterisk.lent() as (asterisk, observer), AsyncExitStack() as stack:
        yield RemotePbx(asterisk, observer, stack)
    await assert_no_task_left(before)
