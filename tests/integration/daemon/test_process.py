"""``callbridge serve`` as a process, on a real Asterisk that it finds by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.cli.command import Exit
from bridge.daemon import runfile
from bridge.daemon.runfile import RunFile
from bridge.lab.ears import DirectParty
from bridge.lab.waiting import until
from tests.support.pbx import Pbx

pytestmark = pytest.mark.asterisk
ROOT = Path(__file__).parents[3]
PATIENCE_S = 40.0


@dataclass
class Process:
    """A daemon, where it is reached, and what it has logged."""

    process: asyncio.subprocess.Process
    run: RunFile
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has logged; every line is an object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    async def ends(self, by: signal.Signals) -> int:
        """Send it a signal; return its exit code."""
        self.process.send_signal(by)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def serving(folder: Path, environment: dict[str, str], name: str) -> AsyncIterator[Process]:
    log = folder / f"{name}.log"
    variables = {**os.environ, **environment}
    for unset in ("CALLBRIDGE_ARI_URL", "CALLBRIDGE_ARI_USERNAME", "CALLBRIDGE_ARI_PASSWORD"):
        variables.pop(unset, None)
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bridge.cli.main",
            "serve",
            env=variables,
            cwd=ROOT,
            stderr=stream,
        )
    try:
        found: list[RunFile] = []

        def listens() -> bool:
            assert process.returncode is None, log.read_text()
            found[:] = [run for run in [runfile.find()] if run and run.pid == process.pid]
            return bool(found)

        await until(listens, "it listens", within_s=PATIENCE_S)
        yield Process(process, found[0], log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def calls_of(run: RunFile, wanted: Callable[[list[Any]], object]) -> list[Any]:
    """Wait until its calls are as wanted."""
    headers = {"Authorization": f"Bearer {run.key}"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.timeout(PATIENCE_S):
        while True:
            async with session.get(f"{run.url}/api/v1/calls") as answer:
                if answer.status == 200:
                    calls: list[Any] = (await answer.json())["items"]
                    if wanted(calls):
                        return calls
            await asyncio.sleep(0.02)


async def test_it_finds_the_lab_logs_whose_call_it_is_and_leaves_calls_to_the_next(
    pbx: Pbx, tmp_path: Path
) -> None:
    environment = {
        "CALLBRIDGE__ASTERISK__INSTANCE": pbx.instance.name,
        "CALLBRIDGE__SERVER__PORT": "0",
        "CALLBRIDGE__SERVER__STATE_FOLDER": str(tmp_path / "state"),
        "CALLBRIDGE__LOG__FORMAT": "json",
        "CALLBRIDGE__PROGRAMS__WAIT_SECONDS": "60",
    }
    async with serving(tmp_path, environment, "first") as first:
        await calls_of(first.run, lambda calls: not calls)  # 503 until Asterisk is reached
        caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "4930123456", tone=None))
        await calls_of(first.run, len)
        assert await first.ends(signal.SIGKILL) == -signal.SIGKILL
        assert runfile.find() is None
    async with serving(tmp_path, environment, "second") as second:
        # He has waited for this one.
        [call] = await calls_of(second.run, len)
        assert call["callee_number"] == "4930123456"
        assert await second.ends(signal.SIGTERM) == 0
        assert runfile.find() is None
    assert not caller.closed
    about = [line for line in second.lines() if line.get("call_id") == call["call_id"]]
    assert any(line["logger"] == "bridge.runtime.controller" for line in about)
    text = second.log.read_text()
    assert "***56" in text
    assert "4930123456" not in text
    assert second.run.key.split("_", 2)[2] not in text
    await caller.hangup()


async def test_a_wrong_configuration_ends_it_with_every_error(tmp_path: Path) -> None:
    config = tmp_path / "callbridge.toml"
    config.write_text("[server]\nport = -1\n[logs]\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bridge.cli.main",
        "serve",
        "--config",
        str(config),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == Exit.USAGE
    assert f"{config}:2: server.port" in said.decode()
    assert f"{config}:3: logs" in said.decode()
    assert "Traceback" not in said.decode()
