"""Many calls at once, an agent spying on each: CPU, memory and lost frames."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.lab.asterisk import Instance
from bridge.lab.bench.agent import PASSWORD_VARIABLE
from bridge.lab.bench.calls import RATE, Exchange, open_exchange
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.ears import DirectParty
from bridge.lab.hearing import TONES, gaps
from bridge.model.errors import LabError

CALLS = (1, 10, 20)
SECONDS = 5.0
_SETTLE_S = 1.0
_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used: CPU seconds since its start, and MiB that it has now."""

    cpu_s: float
    memory_mib: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Read it from /proc (proc(5): fields 14 and 15 of stat, VmRSS of status)."""
        process = Path("/proc") / str(pid)
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        memory = int(status["VmRSS"].split()[0]) / 1024
        return cls(ticks / os.sysconf("SC_CLK_TCK"), memory)


async def measure(instance: Instance) -> Chapter:
    """Place more and more calls to a program of its own process."""
    figures: list[Figure] = []
    async with (
        open_exchange(instance.info, with_client=False) as exchange,
        _program(instance) as program,
    ):
        idle = Usage.of(instance.pid).memory_mib, Usage.of(program.pid).memory_mib
        figures += [
            Figure.of("memory of Asterisk, no call", "MiB", [idle[0]]),
            Figure.of("memory of the program, no call", "MiB", [idle[1]]),
        ]
        for count in CALLS:
            figures += await _with_calls(count, instance, program, exchange)
    return Chapter(
        "Load",
        f"Calls of two 16 kHz parties (WebSocket media), an agent spying on each, {SECONDS:g} s "
        "each; CPU as a share of one core.",
        tuple(figures),
    )


async def _with_calls(
    count: int, instance: Instance, program: asyncio.subprocess.Process, exchange: Exchange
) -> list[Figure]:
    parties: list[DirectParty] = []
    try:
        for _ in range(count):
            parties += [await exchange.call(), await exchange.pick_up()]
            await _line(program)
        await asyncio.sleep(_SETTLE_S)
        for party in parties:
            party.clear()
        before = Usage.of(instance.pid), Usage.of(program.pid)
        await asyncio.sleep(SECONDS)
        after = Usage.of(instance.pid), Usage.of(program.pid)
        heard = [party.pcm() for party in parties]
    finally:
        await asyncio.gather(*(party.hangup() for party in parties))
    await exchange.empty()
    others = (TONES["callee"], TONES["caller"]) * count
    lost = sum(len(gaps(pcm, RATE, hz)) for pcm, hz in zip(heard, others, strict=True))
    calls = f"{count} call{'s' * (count > 1)}"
    asterisk, ours = (
        (end.cpu_s - start.cpu_s) / SECONDS * 100 for start, end in zip(before, after, strict=True)
    )
    return [
        Figure.of(f"{calls}: CPU of Asterisk", "%", [asterisk]),
        Figure.of(f"{calls}: CPU of the program", "%", [ours]),
        Figure.of(f"{calls}: memory of Asterisk", "MiB", [after[0].memory_mib]),
        Figure.of(f"{calls}: memory of the program", "MiB", [after[1].memory_mib]),
        Figure.of(f"{calls}: frames lost by all parties", "", [float(lost)]),
    ]


@asynccontextmanager
async def _program(instance: Instance) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the agent's process; it has ended when the block has."""
    ari = instance.info.ari
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
        await _line(process)
        yield process
    finally:
        await process.communicate(b"")


async def _line(process: asyncio.subprocess.Process) -> str:
    """Read the program's next line. Raises LabError when it has ended or says nothing."""
    assert process.stdout is not None  # noqa: S101 - it was made with a pipe
    try:
        async with asyncio.timeout(_DEADLINE_S):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise LabError("the program under load does not answer: its errors are above")
    return line.decode().strip()
