"""Asterisk answers, and takes its time: a call can be ended all the same, and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge import CallState
from bridge.lab.ears import DirectParty
from bridge.lab.proxy import BreakableProxy
from bridge.lab.waiting import until
from bridge.model.errors import CallClosedError, CallerGoneError, CommandInProgressError
from bridge.sdk import ActiveCall, Client, events
from tests.support.pbx import Pbx, state_of

pytestmark = pytest.mark.asterisk

SLOW_S = 0.1
"""Each way: a fifth of a second from a request to its answer, and answer() takes fifteen."""
ANSWERED_S = 2.5
"""Before that no answer() is done."""


@pytest.fixture
async def proxy(pbx: Pbx) -> AsyncIterator[BreakableProxy]:
    port = int(pbx.instance.info.ari.url.rsplit(":", 1)[1].split("/")[0])
    async with BreakableProxy("127.0.0.1", port) as proxy:
        yield proxy


class Slow:
    """A client behind a proxy, and a call to it."""

    def __init__(self, client: Client, call: ActiveCall, caller: DirectParty) -> None:
        self.client, self.call, self.caller = client, call, caller


@pytest.fixture
async def slow(pbx: Pbx, proxy: BreakableProxy) -> AsyncIterator[Slow]:
    ari = pbx.instance.info.ari
    url = f"http://127.0.0.1:{proxy.port}/ari"
    calls: asyncio.Queue[ActiveCall] = asyncio.Queue()
    async with Client(url, ari.username, ari.password, probe=False) as client:
        client.on(events.INCOMING_CALL, calls.put_nowait)
        caller = await pbx.keep(DirectParty.call(ari, "1002", tone=None))
        call = await calls.get()
        proxy.delay_s = SLOW_S
        yield Slow(client, call, caller)
        proxy.delay_s = 0


async def answering(call: ActiveCall) -> asyncio.Task[None]:
    """Begin to answer, and see that it is under way."""
    task = asyncio.create_task(call.answer())
    await asyncio.sleep(0)
    with pytest.raises(CommandInProgressError):
        await call.answer()
    return task


async def test_disconnect_does_not_wait_for_an_answer_under_way(slow: Slow) -> None:
    task = await answering(slow.call)
    async with asyncio.timeout(ANSWERED_S):
        await slow.call.disconnect()
    with pytest.raises(CallClosedError):
        await task
    await slow.caller.wait_closed()


async def test_a_caller_who_hangs_up_ends_an_answer_under_way(slow: Slow) -> None:
    task = await answering(slow.call)
    await slow.caller.hangup()
    with pytest.raises(CallerGoneError):
        async with asyncio.timeout(ANSWERED_S):
            await task
    assert state_of(slow.call) is CallState.DISCONNECTED


async def test_leaving_during_an_answer_releases_the_caller(slow: Slow) -> None:
    task = await answering(slow.call)
    await slow.client.disconnect()
    with pytest.raises(CallClosedError):
        await task
    await slow.caller.wait_closed()


async def test_leaving_a_pending_caller_releases_him(slow: Slow) -> None:
    await slow.client.disconnect()
    await slow.caller.wait_closed()


async def test_it_answers_in_the_end(slow: Slow) -> None:
    async with asyncio.timeout(20):
        await slow.call.answer()
    assert state_of(slow.call) is CallState.ANSWERED
    await slow.call.disconnect()
    await until(lambda: slow.caller.closed, "the caller is released")
