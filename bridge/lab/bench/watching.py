"""What it costs to know all live calls of the PBX: while calls come and go, and while they last."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from bridge.lab.asterisk import Instance
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.load import Bench, open_bench

CALLS = 30
COMINGS = 10
SECONDS = 5.0
_SETTLE_S: Final = 1.0
_SHOWN: Final = {"asterisk": "Asterisk", "program": "the program"}


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU by the names of processes."""

    each_ms: dict[str, float]
    """To place a call, and to end it."""
    lasting: dict[str, float]
    """While CALLS go on: shares of a core, in percent."""


async def measure(instance: Instance) -> Chapter:
    """Place and end calls of a program that does not watch, and then does."""
    async with open_bench(instance) as bench:
        without = await _cost(bench)
        await bench.program.ask("watch")
        watching = await _cost(bench)
    figures = []
    for name, shown in _SHOWN.items():
        for cost, what in ((without, "not watching"), (watching, "watching")):
            title = f"{what}: CPU of {shown}"
            figures += [
                Figure.of(f"{title}, to place and end a call", "ms", [cost.each_ms[name]]),
                Figure.of(f"{title}, {CALLS} calls", "%", [cost.lasting[name]]),
            ]
    return Chapter(
        "Watching all calls of the PBX",
        f"{CALLS} calls, a program spying on each; it watches by a second application.",
        tuple(figures),
    )


async def _cost(bench: Bench) -> Cost:
    meter = bench.meter()
    for _ in range(COMINGS):
        await bench.place()
        await bench.end_all()
    each_ms = {name: used / COMINGS * 1000 for name, used in meter.cpu_s().items()}
    for _ in range(CALLS):
        await bench.place()
    await asyncio.sleep(_SETTLE_S)
    meter.start()
    await asyncio.sleep(SECONDS)
    lasting = {name: used / SECONDS * 100 for name, used in meter.cpu_s().items()}
    await bench.end_all()
    return Cost(each_ms, lasting)
