"""A TCP proxy that breaks on command: to see what a program does when its link does."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

CHUNK = 65_536
"""Bytes read at once; also all that is held back of a direction while it stalls."""


class BreakableProxy:
    """Forwards one local port to a server, until told otherwise.

    ``async with BreakableProxy("127.0.0.1", 8088) as proxy: … proxy.port …``. Every connection
    belongs to a task of the proxy; leaving the block ends them all.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._refuses = False
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.delay_s = 0.0
        """Seconds for which what is read waits, each way; nothing is read meanwhile, so that what
        comes then is up to twice as late."""
        self.accepted = 0
        """Connections that were accepted so far."""

    @property
    def port(self) -> int:
        """The local port, the same for the proxy's whole life."""
        return self._port

    @property
    def open_connections(self) -> int:
        """Connections that stand now."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        await self.resume()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End every connection and stop listening."""
        await self.refuse()

    async def resume(self) -> None:
        """Listen and forward again, after anything."""
        self._refuses = False
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop every connection; new ones are accepted."""
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def refuse(self) -> None:
        """Drop every connection and refuse new ones, as when the server is not running."""
        self._refuses = True
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    def stall(self) -> None:
        """Keep connections, accept new ones, and let no byte pass either way."""
        self._flowing.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:  # it was on its way in when the listening ended
            writer.transport.abort()
            return
        self.accepted += 1
        task = asyncio.create_task(self._serve(reader, writer), name="proxy connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            pumps = [
                asyncio.create_task(self._pump(reader, far_writer)),
                asyncio.create_task(self._pump(far_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            # The server is not there: the client sees its connection close, as it should.
            pass
        finally:
            for end in writers:
                # A cut is a cut: what is still buffered is not delivered.
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._flowing.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(data)
            await writer.drain()
