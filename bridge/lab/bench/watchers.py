"""A thousand watchers of the socket of events, one of whom does not read."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bridge.api.broadcast import Limits
from bridge.api.hub import EventHub
from bridge.lab.bench.child import Child, open_child
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.flock import KEY_VARIABLE, Fate, Report, allow_sockets
from bridge.lab.bench.service import open_service
from bridge.lab.bench.usage import Usage, busy_s
from bridge.lab.waiting import until
from bridge.model.modes import AudioMode
from bridge.model.states import CallState
from bridge.protocol.views import CallView, ObserverView, PartyView

WATCHERS: Final = 1000
SECONDS: Final = 10.0
PER_SECOND: Final = 10
"""Events: thirty calls of a minute and a half, with some thirty events each, make as many."""
AT_ONCE: Final = 5
"""Of them come together, as at the beginning and the end of a call."""
_BEAT_S: Final = 0.005
_ANSWERS_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured. blocked_ms: how late the event loop was at worst, for anything else."""

    report: Report
    events: int
    blocked_ms: float
    blocked_median_ms: float
    cpu_percent: float
    """Of one core, of the process with the API."""
    grown_mib: float
    """Its memory, from the first event to the last."""
    others_percent: float
    """CPU of all else on the machine meanwhile, of one core."""


class Flock:
    """The watchers, as who measures them has them in hand."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.pid = child.pid

    async def report(self) -> Report:
        """Return what those who read were told since the last time. Raises LabError."""
        return msgspec.json.decode(await self._child.ask("report"), type=Report)

    async def wake(self) -> Fate:
        """Let who did not read do so, and return what became of him. Raises LabError."""
        return msgspec.json.decode(await self._child.ask("wake"), type=Fate)


@asynccontextmanager
async def open_flock(url: str, key: str, count: int = WATCHERS) -> AsyncIterator[Flock]:
    """Let so many watch, in a process of its own, and one more who does not read."""
    allow_sockets()
    address = urlsplit(url)
    async with open_child(
        "bridge.lab.bench.flock",
        str(address.hostname),
        str(address.port),
        str(count + 1),
        what="the process of the watchers",
        variables={KEY_VARIABLE: key},
        answers_s=_ANSWERS_S,
    ) as child:
        yield Flock(child)


async def tell(
    hub: EventHub,
    flock: Flock,
    call_id: str,
    *,
    seconds: float = SECONDS,
    per_second: float = PER_SECOND,
) -> Measured:
    """Tell events of a call for a while, AT_ONCE together, and measure."""
    await flock.report()
    late: list[float] = []
    beating = asyncio.create_task(_beat(late), name="beat")
    before, others_s, began = Usage.of(os.getpid()), _others_s(flock), time.monotonic()
    events = 0
    while time.monotonic() - began < seconds:
        for _ in range(AT_ONCE):
            hub.publish("PARTY_CHANGED", call_id=call_id, data={"party": "caller"})
            events += 1
        await asyncio.sleep(events / per_second - (time.monotonic() - began))
    after = Usage.of(os.getpid())
    taken, others_s = time.monotonic() - began, _others_s(flock) - others_s
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    return Measured(
        report=await flock.report(),
        events=events,
        blocked_ms=max(late) * 1000,
        blocked_median_ms=sorted(late)[len(late) // 2] * 1000,
        cpu_percent=(after.cpu_s - before.cpu_s) / taken * 100,
        grown_mib=after.memory_mib - before.memory_mib,
        others_percent=others_s / taken * 100,
    )


def _others_s(flock: Flock) -> float:
    """Return CPU seconds that the machine has spent on what has nothing to do with this."""
    return busy_s() - Usage.of(os.getpid()).cpu_s - Usage.of(flock.pid).cpu_s


async def _beat(late: list[float]) -> None:
    """Note how late the event loop is: what audio would have to wait."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _BEAT_S
        await asyncio.sleep(_BEAT_S)
        late.append(loop.time() - due)


class OneCall:
    """Shows one call, as it is in a call centre."""

    def __init__(self) -> None:
        parties = tuple(
            PartyView(
                name=name,
                endpoint=f"PJSIP/{number}",
                number=number,
                display_name=f"Somebody {number}",
                channel_id=f"callbridge-0123456789ab-leg.{name}-0123456789ab",
                channel_name=f"PJSIP/{number}-0000002a",
            )
            for name, number in (("caller", "1001"), ("callee", "1002"))
        )
        observer = ObserverView(name="observer1", call_id="c-1", mode=AudioMode.SPY, by="dashboard")
        self._view = CallView(
            call_id="c-1",
            tenant="default",
            own=True,
            since=time.time(),
            state=CallState.CONNECTED,
            mode=AudioMode.WHISPER,
            whispers_to=("callee",),
            caller_number="1001",
            callee_number="1002",
            parties=parties,
            observers=(observer,),
        )

    def call(self, call_id: str) -> CallView | None:
        """Return it."""
        return self._view if call_id == self._view.call_id else None

    def calls(self) -> tuple[CallView, ...]:
        """Return it."""
        return (self._view,)

    def last(self, call_id: str) -> CallView | None:
        """Return it."""
        return self.call(call_id)


@asynccontextmanager
async def open_api(limits: Limits | None = None) -> AsyncIterator[tuple[str, str, EventHub]]:
    """Run the API without an Asterisk, with one call that is only shown; give url, key and hub.

    limits: when a watcher is too slow.
    """
    hub = EventHub(OneCall(), limits=limits)
    async with open_service(lambda service: replace(service, hub=hub)) as (url, key):
        yield url, key, hub


async def measure() -> Chapter:
    """Tell events, and let the last one wake up."""
    async with open_api() as (url, key, hub):
        began = time.monotonic()
        async with open_flock(url, key) as flock:
            connected = time.monotonic() - began
            fast = await tell(hub, flock, "c-1", per_second=4 * PER_SECOND)
            first = await tell(hub, flock, "c-1")
            await until(lambda: hub.broadcast.cut_off, "who does not read is cut off", within_s=15)
            fate = await flock.wake()
    return Chapter(
        "A thousand watchers of the events, one of whom does not read",
        f"{PER_SECOND} events a second, {AT_ONCE} together, or four times as many; the watchers "
        "are on the same machine.",
        (
            Figure.of("until all have subscribed", "s", [connected]),
            *_figures(f"{PER_SECOND} a second", first),
            *_figures(f"{4 * PER_SECOND} a second", fast),
            Figure.of("events that who does not read found", "", [float(fate.told)]),
        ),
    )


def _figures(name: str, measured: Measured) -> list[Figure]:
    report = measured.report
    return [
        Figure.of(f"{name}: {what}", unit, [value])
        for what, unit, value in (
            ("from the event to a watcher, median", "ms", report.median_ms),
            ("99th percentile", "ms", report.p99_ms),
            ("greatest", "ms", report.max_ms),
            ("events that a watcher missed", "", float(report.missed)),
            ("the loop was late by, median", "ms", measured.blocked_median_ms),
            ("at most", "ms", measured.blocked_ms),
            ("CPU of the API", "%", measured.cpu_percent),
            ("memory that it took more", "MiB", measured.grown_mib),
        )
    ]
