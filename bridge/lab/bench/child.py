"""A process of the bench's own: it is told what to do by lines, and answers each with one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from bridge.model.errors import LabError

_END_S: Final = 30.0


class Child:
    """The process, as who measures it has it in hand. what: how it is called in messages."""

    def __init__(self, process: asyncio.subprocess.Process, what: str, answers_s: float) -> None:
        self._process = process
        self._what = what
        self._answers_s = answers_s
        self.pid = process.pid

    async def ask(self, *words: str) -> str:
        """Give an order and return the answer. One after another.

        Raises LabError when it has ended or says nothing.
        """
        assert self._process.stdin is not None  # noqa: S101 - it was made with a pipe
        self._process.stdin.write(" ".join(words).encode() + b"\n")
        return await self.line()

    async def line(self) -> str:
        """Read its next line. Raises LabError when it has ended or says nothing."""
        assert self._process.stdout is not None  # noqa: S101 - it was made with a pipe
        try:
            async with asyncio.timeout(self._answers_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise LabError(f"{self._what} did not answer: its errors are above")
        return line.decode().strip()

    async def kill(self) -> None:
        """End it at once, in the midst of whatever it does; returns when it has ended."""
        self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        """Let it end, as it does with its input. Raises LabError when it had to be killed."""
        try:
            async with asyncio.timeout(_END_S):
                await self._process.communicate(b"")
        except TimeoutError as error:
            await self.kill()
            message = f"{self._what} did not end within {_END_S:g} s, and was killed"
            raise LabError(message) from error


@asynccontextmanager
async def open_child(
    module: str,
    *arguments: str,
    what: str,
    variables: Mapping[str, str],
    answers_s: float,
) -> AsyncIterator[Child]:
    """Run a module until it has said its first line; it has ended when the block has.

    variables: of its environment, besides ours. answers_s: how long it may take over an answer.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        env={**os.environ, **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    child = Child(process, what, answers_s)
    try:
        await child.line()
        yield child
    finally:
        await child.end()
