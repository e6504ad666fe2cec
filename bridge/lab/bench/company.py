"""What many observers on one call cost: their lines to the parties, and those among themselves."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from bridge.lab.asterisk import Instance
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.load import Bench, open_bench
from bridge.lab.bench.observing import VOICES
from bridge.lab.hearing import TONES
from bridge.lab.together import together
from bridge.model.participants import participant

OBSERVERS = (1, 2, 6)
SECONDS = 3.0
_SETTLE_S: Final = 0.5


async def measure(instance: Instance) -> Chapter:
    """Let more and more observers join one call of others: programs, then people on phones."""
    figures: list[Figure] = []
    async with open_bench(instance) as bench:
        for phone in (False, True):
            figures += await _rows(bench, phone=phone)
    return Chapter(
        "Observers on one call",
        "All of them spy; lines to the parties and among themselves stand. CPU as a share of one "
        "core, beside what the call costs without them.",
        tuple(figures),
    )


async def _rows(bench: Bench, *, phone: bool) -> list[Figure]:
    figures = []
    kind = "phones" if phone else "programs"
    async with AsyncExitStack() as stack:
        pair = await bench.exchange.place_foreign()
        stack.push_async_callback(bench.exchange.empty)
        stack.push_async_callback(bench.exchange.end, pair)
        alone = await _shares(bench)
        joined = 0
        for count in OBSERVERS:
            while joined < count:
                await _join(bench, stack, pair.caller.channel_id, VOICES[joined], phone=phone)
                joined += 1
            shares = await _shares(bench)
            asterisk, program = (shares[who] - alone[who] for who in ("asterisk", "program"))
            channels = await bench.exchange.channels()
            observers = f"{count} {kind}"
            figures += [
                Figure.of(f"{observers}: CPU of Asterisk", "%", [asterisk]),
                Figure.of(f"{observers}: CPU of the program", "%", [program]),
                Figure.of(f"{observers}: channels", "", [float(channels)]),
            ]
    return figures


async def _join(
    bench: Bench, stack: AsyncExitStack, channel_id: str, voice: str, *, phone: bool
) -> None:
    if not phone:
        await bench.program.ask("observe", channel_id, voice)
        return

    async def pick_up() -> None:
        party = await bench.exchange.pick_up(participant(voice), TONES[voice])
        stack.push_async_callback(party.hangup)

    await together(bench.program.ask("ring", channel_id, voice), pick_up())


async def _shares(bench: Bench) -> dict[str, float]:
    """Return the CPU of each process as a share of one core, in percent."""
    await asyncio.sleep(_SETTLE_S)
    meter = bench.meter()
    await asyncio.sleep(SECONDS)
    return {name: used / SECONDS * 100 for name, used in meter.cpu_s().items()}
