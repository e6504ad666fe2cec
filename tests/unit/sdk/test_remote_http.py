"""What a program by URL is told when its daemon is not there."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from bridge.model.errors import ServerUnreachableError
from bridge.sdk import Client
from bridge.sdk.remote import http


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
