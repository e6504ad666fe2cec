"""The PostgreSQL of the tests: it ends with who started it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import closing
from pathlib import Path
from subprocess import PIPE
from textwrap import dedent

import pytest

from bridge.lab.asterisk.process import ProcessId
from bridge.lab.waiting import until
from tests.support.postgres import PostgresServer


async def test_it_ends_with_a_starter_that_is_killed() -> None:
    program = dedent(
        """
        import os, signal
        from tests.support.postgres import PostgresServer
        server = PostgresServer.start()
        print(server.folder, *server._processes(), flush=True)
        signal.pause()
        """
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=PIPE, cwd=Path(__file__).parents[3]
    )
    assert child.stdout is not None
    folder, *pids = (await child.stdout.readline()).decode().split()
    running = [ProcessId.of(int(pid)) for pid in pids]
    assert await asyncio.to_thread(Path(folder).is_dir)
    assert running
    assert all(running)
    child.kill()
    await child.wait()
    await until(
        lambda: not any(one and one.is_alive() for one in running) and not Path(folder).exists(),
        "it is gone",
        within_s=20.0,
    )


async def test_nobody_gets_its_port_while_it_is_down(own_postgres: PostgresServer) -> None:
    await asyncio.to_thread(own_postgres.crash)
    with closing(socket.socket()) as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", own_postgres.port))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", own_postgres.port)
    await asyncio.to_thread(own_postgres.resume_service)
    await own_postgres.drop(await own_postgres.create())
