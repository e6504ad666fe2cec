"""The program under load, as who measures it has it in hand."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bridge.lab.asterisk import InstanceInfo
from bridge.lab.bench.agent import PASSWORD_VARIABLE
from bridge.model.errors import LabError

_DEADLINE_S: Final = 20.0


class Program:
    """A process of ``bridge.lab.bench.agent``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def ask(self, *words: str) -> str:
        """Give an order and return the answer. One after another.

        Raises LabError when the program has ended or says nothing.
        """
        assert self._process.stdin is not None  # noqa: S101 - it was made with a pipe
        self._process.stdin.write(" ".join(words).encode() + b"\n")
        return await self.line()

    async def kill(self) -> None:
        """End it at once, in the midst of whatever it does; returns when it has ended."""
        self._process.kill()
        await self._process.wait()

    async def line(self) -> str:
        """Read the program's next line. Raises LabError when it has ended or says nothing."""
        assert self._process.stdout is not None  # noqa: S101 - it was made with a pipe
        try:
            async with asyncio.timeout(_DEADLINE_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise LabError("the program under load does not answer: its errors are above")
        return line.decode().strip()


@asynccontextmanager
async def open_program(info: InstanceInfo) -> AsyncIterator[Program]:
    """Run the program; it has ended when the block has."""
    ari = info.ari
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bridge.lab.bench.agent",
        ari.url,
        ari.username,
        env={**os.environ, PASSWORD_VARIABLE: ari.password},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        program = Program(process)
        await program.line()
        yield program
    finally:
        await process.communicate(b"")
