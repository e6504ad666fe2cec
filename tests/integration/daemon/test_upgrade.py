"""The daemon is replaced by the next one under a program and its call."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge import ActiveCall, CallState, Client, events
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.errors import DrainingError, ServerUnreachableError
from tests.integration.daemon.running import configured, running


@pytest.fixture
async def fake() -> AsyncIterator[FakeAri]:
    async with FakeAri() as server:
        yield server


async def test_a_program_has_its_call_again_when_the_next_daemon_is_there(
    fake: FakeAri, tmp_path: Path
) -> None:
    before = asyncio.all_tasks()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = configured(fake, tmp_path)
    server = configuration.server.model_copy(update={"port": port})
    configuration = configuration.model_copy(update={"server": server})
    calls: asyncio.Queue[ActiveCall] = asyncio.Queue()
    again: asyncio.Queue[ActiveCall] = asyncio.Queue()
    async with running(configuration, alone=False) as first:
        await first.ready()
        key = (tmp_path / "admin.key").read_text().strip()
        client = Client(url=first.daemon.url, key=key, program="greeter")
        client.on(events.INCOMING_CALL, calls.put_nowait)
        client.on(events.CALL_RESUMED, again.put_nowait)
        await client.connect()
        channel = fake.incoming_call()
        async with asyncio.timeout(5):
            call = await calls.get()
        await call.answer()
        await call.connect()
        assert call.state is CallState.CONNECTED
        await first.end()
    assert channel.id in fake.world.channels
    with pytest.raises((ServerUnreachableError, DrainingError)):
        await call.whisper()
    try:
        async with running(configuration, alone=False) as second:
            await second.ready()
            await until(lambda: _works(client, call), "the program has its call", within_s=15)
            assert call.state is CallState.CONNECTED
            async with asyncio.timeout(10):
                await _whisper(call)
            fake.channel_hangs_up(channel.id)
            await until(lambda: not client.calls, "it is over")
            assert calls.empty()
            await client.disconnect()
    finally:
        await client.disconnect()
    await until(lambda: asyncio.all_tasks() <= before, "no task is left")


def _works(client: Client, call: ActiveCall) -> bool:
    return any(one.call_id == call.call_id for one in client.calls)


async def _whisper(call: ActiveCall) -> None:
    """Whisper as soon as the way to the daemon is there again."""
    while True:
        try:
            await call.whisper()
        except (ServerUnreachableError, DrainingError):
            await asyncio.sleep(0.05)
        else:
            return
