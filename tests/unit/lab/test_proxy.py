"""The proxy that breaks on command: what stands, and what it has let go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from bridge.lab.proxy import BreakableProxy
from bridge.lab.waiting import until


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that says again what it is told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def said_again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello")
    return await reader.read(5)


async def test_what_is_cut_is_closed_and_the_next_one_is_served(echo: int) -> None:
    async with BreakableProxy("127.0.0.1", echo) as proxy:
        one = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await said_again(*one) == b"hello"
        assert (proxy.accepted, proxy.open_connections) == (1, 1)
        await proxy.cut()
        assert await one[0].read(1) == b""
        assert proxy.open_connections == 0
        other = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await said_again(*other) == b"hello"
        for _, writer in (one, other):
            writer.close()
    assert proxy.open_connections == 0


@pytest.mark.parametrize("turns", range(8))
async def test_nobody_is_served_who_was_just_coming_in(echo: int, turns: int) -> None:
    before = asyncio.all_tasks()
    async with BreakableProxy("127.0.0.1", echo) as proxy:
        # A client that is connected before the proxy's loop has turned once.
        with socket.create_connection(("127.0.0.1", proxy.port)):
            for _ in range(turns):
                await asyncio.sleep(0)
            await proxy.refuse()
            assert proxy.open_connections == 0
            for _ in range(20):
                await asyncio.sleep(0)
                assert proxy.open_connections == 0
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)
    await until(lambda: asyncio.all_tasks() <= before, "nothing is left of it")


async def test_a_stall_lets_nothing_pass_until_it_is_over(echo: int) -> None:
    async with BreakableProxy("127.0.0.1", echo) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await said_again(reader, writer) == b"hello"
        proxy.stall()
        again = asyncio.create_task(said_again(reader, writer))
        await until(lambda: writer.transport.get_write_buffer_size() == 0, "it was sent")
        for _ in range(20):
            await asyncio.sleep(0)
        assert not again.done()
        await proxy.resume()
        assert await again == b"hello"
        writer.close()
