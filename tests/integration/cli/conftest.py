"""Two phones who talk past all applications, and an API beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.lab.phones import CallState, Phone
from tests.support.commands import Shell
from tests.support.daemon import RunningApi, running_api
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, Pbx, until_true


@pytest.fixture
async def api(pbx: Pbx, tmp_path: Path) -> AsyncIterator[RunningApi]:
    async with running_api(pbx.instance, tmp_path) as running:
        yield running


@pytest.fixture
def shell(api: RunningApi) -> Shell:
    return Shell(api)


@pytest.fixture
async def talking(pbx: Pbx, api: RunningApi, tmp_path: Path) -> tuple[Phone, Phone]:
    """1001 and 1002, on a call that nobody but Asterisk placed."""
    caller = await pbx.phone("1001", source=CALLER_TONE, record=tmp_path / "caller.wav")
    callee = await pbx.phone("1002", source=CALLEE_TONE, record=tmp_path / "callee.wav")
    await caller.call("91002")
    await callee.wait_state(CallState.CONFIRMED)
    await caller.wait_state(CallState.CONFIRMED)

    async def known() -> bool:
        """The phones know it sooner than the API does."""
        calls = await api.client.live_calls()
        return [p.up for call in calls for p in call.parties] == [True, True]

    await until_true(known, "the call is live")
    return caller, callee
