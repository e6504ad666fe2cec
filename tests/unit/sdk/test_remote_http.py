"""What a program by URL is told when its daemon is not there."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from aiohttp import web

from bridge.model.errors import ServerUnreachableError
from bridge.protocol import operations
from bridge.sdk import Client
from bridge.sdk.address import DaemonAddress
from bridge.sdk.remote import http


async def test_a_daemon_that_accepts_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mute(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.read()
        writer.close()

    monkeypatch.setattr(http, "_HANDSHAKE_SECONDS", 0.05)
    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    there = http.Http(DaemonAddress(f"http://127.0.0.1:{port}", "k"))
    await there.open()
    async with asyncio.timeout(2.0), server:
        with pytest.raises(ServerUnreachableError):
            await there.socket("/there")
        await there.close()


async def test_a_command_that_is_sent_again_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_AGAIN_SECONDS", 0.01)
    keys: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        keys.append(request.headers.get("Idempotency-Key"))
        if len(keys) % 2 and request.transport is not None:
            # Carried out, and nobody is told so.
            request.transport.close()
        return web.Response(status=operations.DISMISS_OBSERVER.status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    there = http.Http(DaemonAddress(f"http://127.0.0.1:{runner.addresses[0][1]}", "k"))
    await there.open()
    for _ in range(2):
        await there.tell(operations.DISMISS_OBSERVER, call_id="c1", observer="sue")
    await there.close()
    await runner.cleanup()
    first, again, other, other_again = keys
    assert first == again != other == other_again
    assert None not in keys


async def test_a_daemon_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE_SECONDS", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        # Nobody listens there.
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client(url=url, key="k")
        began = time.monotonic()
        with pytest.raises(ServerUnreachableError, match=url):
            await client.connect()
        assert 0.2 <= time.monotonic() - began < 2.0
    await client.disconnect()
    assert len(asyncio.all_tasks()) == 1
