"""A daemon within the test's own process, and who asks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bridge.daemon import runfile
from bridge.daemon.config import Configuration, parse
from bridge.daemon.serve import Daemon, ExitCode
from bridge.lab.waiting import until
from bridge.protocol.operations import BASE


@dataclass
class Server:
    """Where an Asterisk is."""

    url: str
    username: str
    password: str


def configured(server: Any, folder: Path, more: str = "", *, of_server: str = "") -> Configuration:
    """Return a configuration. more: further sections, in TOML; of_server: keys of [server]."""
    lines = [
        "[asterisk]",
        f"url = {json.dumps(server.url)}",
        f"username = {json.dumps(server.username)}",
        f"password = {json.dumps(server.password)}",
        "[server]",
        "port = 0",
        f'state_folder = "{folder}"',
        "drain_seconds = 5",
        of_server,
        more,
    ]
    return parse("\n".join(lines), "callbridge.toml", {})


@dataclass
class Running:
    """A daemon that listens, the task that it runs in, and a session with its admin's key."""

    daemon: Daemon
    task: asyncio.Task[ExitCode]
    session: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, str], Any]:
        """Ask for a path below the API, or from the root with ``/-`` before it."""
        url = self.daemon.url + (path.removeprefix("/-") if path.startswith("/-") else BASE + path)
        async with self.session.request(method, url, json=body) as answer:
            text = await answer.text()
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer.status, dict(answer.headers), json.loads(text) if is_json else text

    async def ready(self) -> None:
        """Wait until it is connected to Asterisk."""
        async with asyncio.timeout(10):
            while (await self.ask("GET", "/-/ready"))[0] != 200:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.01)

    async def metric(self, line: str) -> float:
        """Return a figure by its name and labels as Prometheus writes them; 0 if there is none."""
        _, _, text = await self.ask("GET", "/-/metrics")
        found = [one for one in text.splitlines() if one.rpartition(" ")[0] == line]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    async def end(self) -> ExitCode:
        """Ask it to stop; return how it ended."""
        self.daemon.stop.ask()
        async with asyncio.timeout(10):
            return await self.task


@asynccontextmanager
async def running(configuration: Configuration, *, alone: bool = True) -> AsyncIterator[Running]:
    """Run a daemon until it listens; end it with the block.

    alone: nobody else begins tasks meanwhile, so that none may be left.
    """
    before = asyncio.all_tasks()
    daemon = Daemon(configuration)
    task = asyncio.create_task(daemon.run(), name="daemon")
    started = asyncio.create_task(daemon.started.wait(), name="started")
    await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if task.done():
        task.result()
    run = runfile.find()
    assert run is not None
    headers = {"Authorization": f"Bearer {run.key}"}
    try:
        async with aiohttp.ClientSession(headers=headers) as session:
            one = Running(daemon, task, session)
            yield one
            if not task.done():
                await one.end()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if alone:
        await until(lambda: asyncio.all_tasks() <= before, "no task is left")
