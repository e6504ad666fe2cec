"""Events to many sockets, none of which can hold up another, or the audio of calls.

A watcher is a place in the hub's ring and a transport: nothing is queued for him but what his
transport holds, and that is little. Who does not read falls behind and is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from bridge.model.errors import ErrorCode
from bridge.protocol.frames import CLOSE_FAULT, CLOSE_SLOW
from bridge.protocol.views import EventView

if TYPE_CHECKING:
    from bridge.api.hub import EventHub, Kept

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a watcher is too slow."""

    behind_events: int = 1000
    behind_bytes: int = 1 << 20
    patience_seconds: float = 2.0
    """So long he may be behind by more: everything may happen at once, such as the end of all
    calls, and who reads has it soon."""
    stalled_seconds: float = 10.0
    """His transport has something to send, and nothing has left it for as long."""


BUFFER_BYTES: Final = 1 << 16
"""What a transport may hold before nothing more is written to it."""
SLICE_SECONDS: Final = 0.003
"""How long sending may go on before everything else has its turn: audio has frames of 20 ms."""
AGAIN_SECONDS: Final = 0.02
"""How soon a transport that was full is looked at again."""
LOOK_SECONDS: Final = 1.0
"""How often those are looked at to whom nothing is to be sent."""


class Outlet(Protocol):
    """Where a watcher's frames go: the transport of his socket. Nothing of it blocks."""

    def write(self, data: bytes, /) -> None:
        """Send whole frames, or keep them until they can be sent."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are not sent yet."""

    def is_closing(self) -> bool:
        """Tell whether nothing can be sent any more."""


class Progress(Enum):
    """How far a watcher is."""

    DONE = auto()
    BLOCKED = auto()
    """There is more for him, and his transport is full."""
    SLOW = auto()
    """He is too far behind, or takes nothing."""
    GONE = auto()


class Watcher:
    """One who is told events. wants: whether an event is for him. after: the seq that he knows.

    What had happened before he came does not count as being behind.
    """

    def __init__(
        self,
        hub: EventHub,
        outlet: Outlet,
        *,
        wants: Callable[[EventView], bool],
        after: int,
        now: float,
        limits: Limits,
    ) -> None:
        self.wants = wants
        self.seq = after
        self._hub = hub
        self._outlet = outlet
        self._limits = limits
        self._came_at, self._came_total = hub.seq, hub.total
        self._total = _total_of(hub, after)
        self._written = 0
        self._left = -math.inf
        """Bytes that have left the transport, as of ``_moved_at``. What was in it before, such as
        a long snapshot, counts as less than nothing."""
        self._moved_at = now
        self._caught_up_at = now

    def advance(self, now: float) -> Progress:
        """Send what can be sent at ``now``, in seconds of any clock. Never blocks."""
        if self._outlet.is_closing():
            return Progress.GONE
        held = self._outlet.get_write_buffer_size()
        room = BUFFER_BYTES - held
        parts: list[bytes] = []
        progress = Progress.DONE
        while self.seq < self._hub.seq:
            kept = self._hub.kept(self.seq + 1)
            if kept is None:
                return Progress.SLOW
            if self.wants(kept.event):
                if room <= 0:
                    progress = Progress.BLOCKED
                    break
                parts.append(kept.frame)
                room -= len(kept.frame)
            self._pass(kept)
        if parts:
            content = b"".join(parts) if len(parts) > 1 else parts[0]
            self._outlet.write(content)
            self._written += len(content)
        if progress is Progress.DONE:
            self._caught_up_at = now
        return Progress.SLOW if self._is_slow(held, now) else progress

    def _pass(self, kept: Kept) -> None:
        self.seq = kept.event.seq
        self._total = kept.total

    def _is_slow(self, held: int, now: float) -> bool:
        left = self._written - self._outlet.get_write_buffer_size()
        if left > self._left or not held:
            self._left, self._moved_at = left, now
        elif now - self._moved_at > self._limits.stalled_seconds:
            return True
        if now - self._caught_up_at <= self._limits.patience_seconds:
            return False
        events = self._hub.seq - max(self.seq, self._came_at)
        size = self._hub.total - max(self._total, self._came_total)
        return events > self._limits.behind_events or size > self._limits.behind_bytes


def _total_of(hub: EventHub, seq: int) -> int:
    kept = hub.kept(seq)
    return kept.total if kept is not None else 0


CutOffWatcher = Callable[[ErrorCode, str, int], None]
"""Tells a watcher that his socket is closed, and why; with the code. Must not block."""


class Broadcaster:
    """Brings every watcher up to date, in slices. Its task lives while there are watchers."""

    def __init__(self, hub: EventHub, limits: Limits | None = None) -> None:
        self._hub = hub
        self.limits = limits or Limits()
        self._watchers: dict[Watcher, CutOffWatcher] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.cut_off = 0
        """Watchers who were too slow, so far."""
        hub.listeners.append(self._told)

    @property
    def watchers(self) -> int:
        """How many there are."""
        return len(self._watchers)

    def add(
        self,
        outlet: Outlet,
        *,
        wants: Callable[[EventView], bool],
        after: int,
        cut_off: CutOffWatcher,
    ) -> Watcher:
        """Tell somebody everything behind ``after`` that he wants, until ``remove``."""
        now = asyncio.get_running_loop().time()
        watcher = Watcher(self._hub, outlet, wants=wants, after=after, now=now, limits=self.limits)
        self._watchers[watcher] = cut_off
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="events to watchers")
        self._wake.set()
        return watcher

    def remove(self, watcher: Watcher) -> None:
        """Tell somebody nothing more. Idempotent."""
        self._watchers.pop(watcher, None)
        if not self._watchers and self._task is not None:
            self._task.cancel()
            self._task = None

    def _told(self, _event: EventView) -> None:
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            blocked = await self._pass(loop)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS if blocked else LOOK_SECONDS):
                    await self._wake.wait()

    async def _pass(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Look at everybody once; tell whether somebody has more to be sent than he takes."""
        blocked = False
        began = loop.time()
        for watcher in list(self._watchers):
            if watcher not in self._watchers:
                continue
            now = loop.time()
            try:
                blocked |= self._look(watcher, now)
            except Exception:  # noqa: BLE001 - what fails with one is none of the others' business
                _log.exception("a watcher cannot be told what happens")
                if (cut_off := self._watchers.pop(watcher, None)) is not None:
                    why = "this is a fault of callbridge: see its log"
                    loop.call_soon(cut_off, ErrorCode.REQUEST_FAILED, why, CLOSE_FAULT)
            if now - began > SLICE_SECONDS:
                await asyncio.sleep(0)
                began = loop.time()
        return blocked

    def _look(self, watcher: Watcher, now: float) -> bool:
        """Bring one up to date, or cut him off; tell whether there is more for him."""
        progress = watcher.advance(now)
        if progress is Progress.SLOW:
            cut_off = self._watchers.pop(watcher)
            self.cut_off += 1
            cut_off(
                ErrorCode.SLOW_READER,
                "events were not read for too long: connect again, and read them as they come",
                CLOSE_SLOW,
            )
        return progress is Progress.BLOCKED
