"""Connecting, and being asked to stop meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge.ari import Backoff
from bridge.daemon import client as under_test
from bridge.daemon.client import DaemonClient
from bridge.daemon.config import parse
from bridge.directory import LiveCall
from bridge.lab.waiting import until
from bridge.model.errors import ServerUnreachableError

CONFIGURATION = parse(
    '[asterisk]\nurl = "http://127.0.0.1:9"\nusername = "a"\npassword = "b"\n', "x.toml", {}
)


class Slow(DaemonClient):
    """Connects when it is let to, or fails."""

    def __init__(self) -> None:
        super().__init__(CONFIGURATION, lambda _asked: True)
        self.attempts = 0
        self.done = asyncio.Event()
        self.fails = False

    async def connect(self) -> None:
        self.attempts += 1
        await self.done.wait()
        if self.fails:
            raise ServerUnreachableError("nobody is there")

    async def live_calls(self) -> tuple[LiveCall, ...]:
        return ()


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Slow, asyncio.Task[str]]]:
    monkeypatch.setattr(under_test, "_BACKOFF", Backoff(longest_s=0.01))
    one = Slow()
    task = asyncio.create_task(one.keep_connected(lambda: None))
    await until(lambda: one.attempts == 1, "it connects")
    yield one, task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_connection_that_is_being_made_is_made_before_it_ends(
    slow: tuple[Slow, asyncio.Task[str]],
) -> None:
    one, task = slow
    settled = asyncio.create_task(one.settled())
    await asyncio.sleep(0)
    assert not settled.done()
    one.done.set()
    await settled
    assert await task == "the daemon is about to stop"
    assert one.attempts == 1


async def test_one_that_fails_then_is_not_tried_again(slow: tuple[Slow, asyncio.Task[str]]) -> None:
    one, task = slow
    settled = asyncio.create_task(one.settled())
    one.fails = True
    one.done.set()
    await settled
    assert await task == "the daemon is about to stop"
    assert one.attempts == 1
    assert one.link == "nobody is there"


async def test_one_that_fails_is_tried_again_as_long_as_it_takes(
    slow: tuple[Slow, asyncio.Task[str]],
) -> None:
    one, _ = slow
    one.fails = True
    one.done.set()
    await until(lambda: one.attempts > 3, "it tries again")
    with pytest.raises(ServerUnreachableError, match="nobody is there"):
        _ = one.capabilities
