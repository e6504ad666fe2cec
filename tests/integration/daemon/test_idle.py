"""Connections on which nobody asks for anything, or not to the end: they are not kept for ever."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from bridge.daemon import serve

HALF = b"GET /x HTTP/1.1\r\nHost: x\r\nX-Half: "


@pytest.mark.parametrize("said", [b"", HALF], ids=["nothing", "half a head"])
async def test_who_asks_for_nothing_is_let_go(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "IDLE_SECONDS", 0.05)
    async with serve.listening(web.Application(), "127.0.0.1", 0, "server") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(said)
            async with asyncio.timeout(5.0):
                assert await reader.read() == b""
        finally:
            writer.close()
            await writer.wait_closed()
