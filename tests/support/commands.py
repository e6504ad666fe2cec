"""``callbridge`` as somebody types it, against a running API."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from typer.testing import CliRunner

from bridge.cli.command import exit_code, failure
from bridge.cli.main import app
from bridge.model.errors import CallbridgeError
from tests.support.daemon import RunningApi


@dataclass
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Its JSON, an object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Shell:
    """Runs commands against an API. In this process, unless they are to be interrupted."""

    def __init__(self, api: RunningApi | None, key: str = "admin") -> None:
        self.environment = {"NO_COLOR": "1"}
        if api is not None:
            self.environment |= {"CALLBRIDGE_URL": api.url, "CALLBRIDGE_KEY": api.keys[key]}

    @classmethod
    def nowhere(cls) -> Self:
        """Return a shell that is told of no API."""
        return cls(None)

    async def __call__(self, *words: str) -> Said:
        """Run a command to its end."""
        runner = CliRunner(env=self.environment)
        result = await asyncio.to_thread(runner.invoke, app, list(words))
        error = result.exception
        if isinstance(error, CallbridgeError):
            # As ``main`` deals with it.
            return Said(exit_code(error), result.stdout, result.stderr + failure(error))
        if error is not None and not isinstance(error, SystemExit):
            raise error
        return Said(result.exit_code, result.stdout, result.stderr)

    async def done(self, *words: str) -> str:
        """Run a command that has to succeed; return what it printed."""
        said = await self(*words)
        assert said.code == 0, (words, said)
        return said.out

    async def json(self, *words: str) -> list[Any]:
        """Run a command with --json that has to succeed; return its objects."""
        said = await self(*words, "--json")
        assert said.code == 0, (words, said)
        return said.lines

    async def completed(self, *words: str) -> list[str]:
        """Return what a shell offers for the last of the words."""
        runner = CliRunner(
            env={
                **self.environment,
                "_CALLBRIDGE_COMPLETE": "complete_zsh",
                "_TYPER_COMPLETE_ARGS": " ".join(("callbridge", *words)),
            }
        )
        result = await asyncio.to_thread(runner.invoke, app, [], prog_name="callbridge")
        return re.findall(r'"([^"]+)":"', result.stdout)

    @asynccontextmanager
    async def started(
        self, *words: str, tty: int, **environment: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a command on a terminal; it is ended if it has not."""
        # GNU readline tells them to whoever is started after it: they are of another terminal.
        others = {name: os.environ[name] for name in os.environ.keys() - {"COLUMNS", "LINES"}}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge.cli.main", *words),
            env={**others, "TERM": "xterm", **self.environment, **environment},
            stdin=tty,
            stdout=tty,
            stderr=tty,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def running(
        self, *words: str, cwd: Path | None = None, stdout: int = asyncio.subprocess.PIPE
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a command in a process of its own, which is ended if it has not."""
        # A run in the background ignores Ctrl-C, and would have the command ignore it, too.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bridge.cli.main", *words),
                env={**os.environ, **self.environment},
                cwd=cwd,
                stdout=stdout,
                stderr=asyncio.subprocess.PIPE,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
