"""The daemon is replaced by the next one under a program and its call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge import ActiveCall, CallState, Client, events
from bridge.daemon import client as client_module
from bridge.daemon.client import DaemonClient
from bridge.daemon.config import Configuration
from bridge.directory import LiveCall
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.errors import DrainingError, ServerUnreachableError
from bridge.model.modes import AudioMode
from bridge.sdk.remote import RemoteClient
from tests.integration.daemon.running import Running, configured, running


@pytest.fixture
async def fake() -> AsyncIterator[FakeAri]:
    async with FakeAri() as server:
        yield server


@pytest.fixture
def configuration(fake: FakeAri, tmp_path: Path, port: int) -> Configuration:
    """That of daemons which follow one another at one port."""
    made = configured(fake, tmp_path)
    server = made.server.model_copy(update={"port": port})
    return made.model_copy(update={"server": server})


class Program:
    """A program by URL, with what it was handed."""

    def __init__(self, daemon: Running, key: str) -> None:
        self.client = Client(url=daemon.daemon.url, key=key, program="greeter")
        self.calls: asyncio.Queue[ActiveCall] = asyncio.Queue()
        self.again: asyncio.Queue[ActiveCall] = asyncio.Queue()
        self.client.on(events.INCOMING_CALL, self.calls.put_nowait)
        self.client.on(events.CALL_RESUMED, self.again.put_nowait)

    async def takes(self, fake: FakeAri) -> tuple[ActiveCall, str]:
        """Take a call and put it through; return it, and its caller's channel."""
        await self.client.connect()
        channel = fake.incoming_call()
        async with asyncio.timeout(5):
            call = await self.calls.get()
        await call.answer()
        await call.connect()
        assert call.state is CallState.CONNECTED
        return call, channel.id


async def test_a_program_has_its_call_again_when_the_next_daemon_is_there(
    fake: FakeAri, configuration: Configuration, tmp_path: Path
) -> None:
    before = asyncio.all_tasks()
    async with running(configuration, alone=False) as first:
        await first.ready()
        program = Program(first, (tmp_path / "admin.key").read_text().strip())
        call, channel_id = await program.takes(fake)
        await first.end()
    client = program.client
    assert channel_id in fake.world.channels
    with pytest.raises((ServerUnreachableError, DrainingError)):
        await call.whisper()
    try:
        async with running(configuration, alone=False) as second:
            await second.ready()
            await until(lambda: _works(client, call), "the program has its call", within_s=15)
            assert call.state is CallState.CONNECTED
            async with asyncio.timeout(10):
                await _whisper(call)
            fake.channel_hangs_up(channel_id)
            await until(lambda: not client.calls, "it is over")
            assert program.calls.empty()
            await client.disconnect()
    finally:
        await client.disconnect()
    await until(lambda: asyncio.all_tasks() <= before, "no task is left")


async def test_a_daemon_that_takes_its_time_says_of_no_call_that_it_is_not_there(
    fake: FakeAri, configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, looked = asyncio.Event(), asyncio.Event()
    look = DaemonClient.live_calls

    async def slowly(client: DaemonClient) -> tuple[LiveCall, ...]:
        looks.set()
        await looked.wait()
        return await look(client)

    async with running(configuration, alone=False) as first:
        await first.ready()
        program = Program(first, (tmp_path / "admin.key").read_text().strip())
        call, channel_id = await program.takes(fake)
        await first.end()
    monkeypatch.setattr(DaemonClient, "live_calls", slowly)
    try:
        async with running(configuration, alone=False) as second:
            await looks.wait()
            shown = asyncio.create_task(second.ask("GET", f"/calls/{call.call_id}"))
            whispered = asyncio.create_task(call.whisper())
            await until(lambda: second.daemon.requests.commands == 1, "it waits")
            assert not shown.done()
            assert not whispered.done()
            monkeypatch.setattr(client_module, "TAKE_UP_SECONDS", 0.01)
            status, headers, problem = await second.ask("GET", "/calls")
            assert (status, problem["code"]) == (503, "SERVER_UNREACHABLE")
            assert int(headers["Retry-After"]) > 0
            looked.set()
            async with asyncio.timeout(5):
                assert (await shown)[0] == 200
                await whispered
            client = program.client
            assert isinstance(client, RemoteClient)
            await until(lambda: client.calls_known, "its calls are known")
            assert client.calls == (call,)
            assert call.mode is AudioMode.WHISPER
            assert program.again.empty()
            fake.channel_hangs_up(channel_id)
            await until(lambda: not program.client.calls, "it is over")
    finally:
        await program.client.disconnect()


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
