"""The Asterisk that tests share: a test that harms it fails, and the next has a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from bridge.lab.asterisk import Instance
from tests.support.shared import AsteriskDiedError, SharedAsterisk

pytestmark = pytest.mark.asterisk


@pytest.fixture
def shared() -> Iterator[SharedAsterisk]:
    shared = SharedAsterisk("shared", patience_s=0.1)
    yield shared
    shared.discard()


async def pid(shared: SharedAsterisk) -> int:
    async with shared.lent() as (instance, _):
        return instance.pid


async def leave_things(shared: SharedAsterisk, *, error: Exception | None = None) -> None:
    async with shared.lent() as (_, observer):
        await observer.bridges.create_with_id(bridge_id="left-bridge", type="mixing")
        await observer.channels.originate(
            endpoint="WebSocket/INCOMING/c(slin16)", app="nobody", channel_id="left-channel"
        )
        if error is not None:
            raise error


async def kill(shared: SharedAsterisk) -> None:
    async with shared.lent() as (instance, _):
        await asyncio.to_thread(instance.kill)


async def test_it_stays_as_long_as_nothing_is_left_in_it(shared: SharedAsterisk) -> None:
    async with shared.lent() as (instance, observer):
        first = instance.pid
        await observer.bridges.create_with_id(bridge_id="removed", type="mixing")
        await observer.bridges.destroy(bridge_id="removed")
    assert await pid(shared) == first


async def test_what_is_left_is_told_and_the_next_test_does_not_see_it(
    shared: SharedAsterisk,
) -> None:
    first = await pid(shared)
    with pytest.raises(AssertionError) as told:
        await leave_things(shared)
    report = str(told.value)
    assert "left in Asterisk: ['left-channel', 'left-bridge']" in report
    # What the console tells of each, and not of others.
    assert "UniqueID: left-channel" in report
    assert "bridge show left-bridge:" in report
    assert "Num-Channels: 0" in report
    assert await pid(shared) != first


async def test_a_test_that_fails_too_does_not_hide_what_is_left(shared: SharedAsterisk) -> None:
    error = LookupError("the test's own")
    with pytest.raises(AssertionError, match="left-bridge") as told:
        await leave_things(shared, error=error)
    assert told.value.__context__ is error


async def test_one_that_died_is_told_and_replaced(shared: SharedAsterisk) -> None:
    first = await pid(shared)
    with pytest.raises(AsteriskDiedError, match="died of SIGKILL"):
        await kill(shared)
    assert await pid(shared) != first


async def test_nothing_stays_when_it_is_discarded(shared: SharedAsterisk) -> None:
    async with shared.lent() as (instance, _):
        name = instance.name
    await asyncio.to_thread(shared.discard)
    assert Instance.find(name) is None
    assert not instance.state_dir.exists()
