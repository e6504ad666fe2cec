"""Many calls at once, a program spying on each: CPU, memory and lost frames."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from bridge.lab.asterisk import Instance
from bridge.lab.bench.calls import Exchange, Pair, open_exchange
from bridge.lab.bench.child import Child
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.program import open_program
from bridge.lab.bench.usage import Meter, Usage
from bridge.lab.hearing.lost import Missing
from bridge.lab.together import together

CALLS = (1, 10, 30, 40, 60)
OBSERVED = (30,)
SECONDS = 5.0
TOO_MANY = 0.01
"""The share of lost frames at which there is no sense in more calls."""
_SETTLE_S: Final = 1.0
OBSERVER: Final = "observer"


@dataclass(frozen=True, slots=True)
class Load:
    """What so many calls cost, as shares of one core, and what was lost."""

    asterisk: float
    program: float
    parties: float
    """The process in which the parties are."""
    others: float
    """Everything else that ran on the machine meanwhile."""
    asterisk_mib: float
    program_mib: float
    missing: Missing
    """By all parties, of each other."""
    unheard: Missing
    """By the spying program, of the parties."""

    def figures(self, calls: str) -> list[Figure]:
        """Return rows of a table."""
        return [
            Figure.of(f"{calls}: {what}", unit, [value])
            for what, unit, value in (
                ("CPU of Asterisk", "%", self.asterisk),
                ("CPU of the program", "%", self.program),
                ("CPU of the parties", "%", self.parties),
                ("CPU of all else", "%", self.others),
                ("memory of Asterisk", "MiB", self.asterisk_mib),
                ("memory of the program", "MiB", self.program_mib),
                ("frames lost by all parties", "", float(self.missing.lost)),
                ("frames late at all parties", "", float(self.missing.held_up)),
                ("frames lost by the program", "", float(self.unheard.lost)),
                ("frames late at the program", "", float(self.unheard.held_up)),
            )
        ]


@dataclass(frozen=True)
class Bench:
    """An Asterisk, a program on it, and calls that go on."""

    instance: Instance
    exchange: Exchange
    program: Child
    pairs: list[Pair]

    async def place(self) -> None:
        """Add a call of the program's, on which it spies."""
        caller = await self.exchange.call()

        async def pick_up() -> None:
            self.pairs.append(Pair(caller, await self.exchange.pick_up()))

        await together(self.program.ask("next_call"), pick_up())

    async def place_foreign(self) -> None:
        """Add a call of others, and let the program observe it."""
        pair = await self.exchange.place_foreign()
        self.pairs.append(pair)
        await self.program.ask("observe", pair.caller.channel_id, OBSERVER)

    async def measure(self, seconds: float) -> Load:
        """Let the calls go on for a while, and look at what they cost."""
        await asyncio.sleep(_SETTLE_S)
        meter = self.meter()
        await self.program.ask("keep")
        for pair in self.pairs:
            pair.clear()
        meter.start()
        await asyncio.sleep(seconds)
        cpu = {name: used / seconds * 100 for name, used in meter.cpu_s().items()}
        heard = [pair.heard() for pair in self.pairs]
        missing = [await asyncio.to_thread(both.missing) for both in heard]
        unheard = await self.unheard()
        now = meter.now()
        return Load(
            **cpu,
            asterisk_mib=now["asterisk"].memory_mib,
            program_mib=now["program"].memory_mib,
            missing=Missing(sum(m.lost for m in missing), sum(m.held_up for m in missing)),
            unheard=unheard,
        )

    async def unheard(self) -> Missing:
        """Return what the program has missed since it was told ``keep``."""
        lost, late = map(int, (await self.program.ask("missing")).split())
        return Missing(lost, late)

    def meter(self) -> Meter:
        """Begin to measure CPU."""
        pids = {"asterisk": self.instance.pid, "program": self.program.pid, "parties": os.getpid()}
        return Meter(pids)

    async def end_all(self) -> None:
        """End all calls; returns when Asterisk is empty."""
        pairs = list(self.pairs)
        self.pairs.clear()
        await asyncio.gather(*(self.exchange.end(pair) for pair in pairs))
        await self.exchange.empty()


@asynccontextmanager
async def open_bench(instance: Instance) -> AsyncIterator[Bench]:
    """Connect, and start the program; at the end there is no call left."""
    async with (
        open_exchange(instance.info, with_client=False) as exchange,
        open_program(instance.info) as program,
    ):
        bench = Bench(instance, exchange, program, [])
        try:
            yield bench
        finally:
            await bench.end_all()


async def measure(instance: Instance) -> Chapter:
    """Place more and more calls to a program of its own process."""
    async with open_bench(instance) as bench:
        idle = Usage.of(instance.pid).memory_mib, Usage.of(bench.program.pid).memory_mib
        figures = [
            Figure.of("memory of Asterisk, no call", "MiB", [idle[0]]),
            Figure.of("memory of the program, no call", "MiB", [idle[1]]),
        ]
        figures += await _rows(bench, CALLS, foreign=False)
        await bench.end_all()
        figures += await _rows(bench, OBSERVED, foreign=True)
    return Chapter(
        "Load",
        f"Calls of two 16 kHz parties (WebSocket media), a program spying on each, {SECONDS:g} s "
        f"each; CPU as a share of one core. No more calls once {TOO_MANY:.0%} of frames is lost.",
        tuple(figures),
    )


async def _rows(bench: Bench, counts: Sequence[int], *, foreign: bool) -> list[Figure]:
    figures: list[Figure] = []
    for count in counts:
        while len(bench.pairs) < count:
            await (bench.place_foreign() if foreign else bench.place())
        calls = f"{count} call{'s' * (count > 1)}{' of others' * foreign}"
        load = await bench.measure(SECONDS)
        figures += load.figures(calls)
        if max(load.missing.lost, load.unheard.lost) > count * 2 * SECONDS * 50 * TOO_MANY:
            # Beyond that Asterisk does not even answer in time.
            break
    return figures
