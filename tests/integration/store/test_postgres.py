"""The PostgreSQL of the tests: it ends with who started it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from subprocess import PIPE
from textwrap import dedent

from bridge.lab.asterisk.process import ProcessId
from bridge.lab.waiting import until


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
