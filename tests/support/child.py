"""A program in a process of its own, which a test kills."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.pbx import Pbx

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 40
"""A program that starts reads and compiles a lot, perhaps beside seven others."""


class Child:
    """The process; what it has reached it says line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, line: str) -> None:
        """Wait for its next line, which has to be this one."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_PATIENCE_S):
            heard = (await self.process.stdout.readline()).decode().strip()
        assert heard == line

    async def die(self) -> float:
        """Kill it at once; return when, in seconds of the monotonic clock."""
        killed_at = time.monotonic()
        self.process.kill()
        await self.process.wait()
        return killed_at

    async def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, which it has to do in order."""
        self.process.send_signal(number)
        async with asyncio.timeout(_PATIENCE_S):
            assert await self.process.wait() == 0


@asynccontextmanager
async def child(pbx: Pbx, module: str, *arguments: str) -> AsyncIterator[Child]:
    """Run ``python -m module arguments`` on this Asterisk; it is up when the block begins."""
    environment = {**os.environ, **await pbx.environment()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=_ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    made = Child(process)
    try:
        await made.says("up")
        yield made
    finally:
        if process.returncode is None:
            await made.die()
