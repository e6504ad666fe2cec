"""What a program by URL is told when its daemon is not there."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from bridge.model.errors import ServerUnreachableError
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
