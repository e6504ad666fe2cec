"""A program is killed in the midst of many calls, and the next one has all of them in hand.

How soon, and what it costs: what is to be remembered is written to the parties' channels.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from bridge.ari import events
from bridge.ari.generated.events import AnyMessage
from bridge.ari.resource import segment
from bridge.lab.asterisk import Instance, InstanceInfo
from bridge.lab.bench.agent import VARIED
from bridge.lab.bench.calls import Exchange, Pair, Placed, open_exchange
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.load import Bench
from bridge.lab.bench.program import open_program
from bridge.runtime.memory import CALL_VARIABLE

CALLS: Final = 20
RUNS: Final = 3
CHANGES: Final = 20
"""Of mode, each of which is remembered."""
WRITES: Final = 200
IN_HAND: Final = "to all {count} calls in hand, from the client's start"
CONNECTED: Final = "to the end of connect()"
STARTED: Final = "to all calls in hand, from the start of the process"
LOST: Final = "frames that parties lost of each other meanwhile, of all that talk"

_SETTLE_S: Final = 1.0
_WRITTEN_S: Final = 0.2
"""By then what has changed is written."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """One program was killed, and another came."""

    in_hand_ms: float
    connected_ms: float
    """Both from the client's start."""
    started_ms: float
    lost: int


async def measure(instance: Instance) -> Chapter:
    """Kill programs, and look at what remembering costs."""
    runs = [await restarted(instance) for _ in range(RUNS)]
    return Chapter(
        "A program is killed, and another started",
        f"{CALLS} calls, {', '.join(VARIED)} in turn. In hand: CALL_RESUMED was told of all.",
        (
            Figure.of(IN_HAND.format(count=CALLS), "ms", [run.in_hand_ms for run in runs]),
            Figure.of(CONNECTED, "ms", [run.connected_ms for run in runs]),
            Figure.of(STARTED, "ms", [run.started_ms for run in runs]),
            Figure.of(LOST, "", [float(run.lost) for run in runs]),
            *await remembering(instance.info),
        ),
    )


async def restarted(instance: Instance) -> Restarted:
    """Kill a program that has CALLS calls, and start the next one."""
    async with open_exchange(instance.info, with_client=False) as exchange:
        pairs: list[Pair] = []
        try:
            async with open_program(instance.info) as first:
                bench = Bench(instance, exchange, first, pairs)
                for _ in range(CALLS):
                    await bench.place()
                await first.ask("vary")
                await asyncio.sleep(_SETTLE_S)
                for pair in pairs:
                    pair.clear()
                await asyncio.sleep(_SETTLE_S)
                await first.kill()
            began = time.monotonic()
            async with open_program(instance.info) as second:
                answer = await second.ask("resumed", str(CALLS))
                in_hand_ms, connected_ms, at = map(float, answer.split())
                started_ms = (at - began) * 1000
                await asyncio.sleep(_SETTLE_S)
                states = list(VARIED) * len(pairs)
                talking = [p for p, state in zip(pairs, states, strict=False) if state != "held"]
                heard = [pair.heard() for pair in talking]
                lost = [(await asyncio.to_thread(both.missing)).lost for both in heard]
                await Bench(instance, exchange, second, pairs).end_all()
        finally:
            await asyncio.gather(*(pair.hang_up() for pair in pairs))
    return Restarted(in_hand_ms, connected_ms, started_ms, sum(lost))


async def remembering(info: InstanceInfo) -> list[Figure]:
    """Change modes, and count and time what is written because of it."""
    async with open_exchange(info, with_client=True) as exchange:
        placed = await exchange.place()
        try:
            counts, after_ms = await _changes(exchange, placed)
            answer = await exchange.watching.channels.get_channel_var(
                channel_id=placed.caller.channel_id, variable=CALL_VARIABLE
            )
        finally:
            await exchange.end(placed)
        writes = await _writes(exchange, answer.value)
        await exchange.empty()
    size = Figure.of("remembered of a call", "characters", [float(len(answer.value))])
    return [
        size,
        Figure.of("a write of it, answered", "ms", writes),
        Figure.of("writes for one change of mode", "", counts),
        Figure.of("from the command to the last of them", "ms", after_ms),
    ]


async def _changes(exchange: Exchange, placed: Placed) -> tuple[list[float], list[float]]:
    """Change modes; return how much was written because of each, and after how many ms all was."""
    written: list[float] = []

    def note(event: AnyMessage) -> None:
        if isinstance(event, events.ChannelVarset) and event.variable == CALL_VARIABLE:
            written.append(time.monotonic())

    exchange.listeners.append(note)
    for party in (placed.caller, placed.callee):
        await exchange.watching.applications.subscribe(
            application_name=exchange.watching.settings.application,
            event_source=[f"channel:{party.channel_id}"],
        )
    counts, after_ms = [], []
    for number in range(CHANGES):
        await asyncio.sleep(_WRITTEN_S)
        written.clear()
        began = time.monotonic()
        await (placed.call.barge() if number % 2 else placed.call.spy())
        await asyncio.sleep(_WRITTEN_S)
        counts.append(float(len(written)))
        if written:
            after_ms.append((written[-1] - began) * 1000)
    return counts, after_ms


async def _writes(exchange: Exchange, text: str) -> list[float]:
    """Write as a program does that remembers; return how long each took, in ms."""
    pair = await exchange.place_foreign()
    taken = []
    try:
        for _ in range(WRITES):
            began = time.perf_counter()
            await exchange.watching.request(
                "POST",
                f"channels/{segment(pair.caller.channel_id)}/variable",
                query={"variable": CALL_VARIABLE},
                body={"value": text},
                plain=True,
            )
            taken.append((time.perf_counter() - began) * 1000)
    finally:
        await exchange.end(pair)
    return taken
