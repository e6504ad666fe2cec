"""How late the event loop is: every call's audio runs in it, a frame every 20 ms."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from bridge.daemon.notify import notify, watchdog_seconds

_log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 0.25
LATE_SECONDS: Final = 0.5
"""From which on a late loop is worth a line of the log."""
STUCK_SECONDS: Final = 2.0
"""After which it is said where the loop hangs, while it does."""
_RECENT: Final = 240
"""Beats of which the latest is told: a minute."""


class Pulse:
    """Beats in the loop, and watches from a thread that it does.

    on_lag: told how late each beat was, seconds. ``run()`` is the owner's task.
    """

    def __init__(self, on_lag: Callable[[float], None]) -> None:
        self._on_lag = on_lag
        self._at = time.monotonic()
        self._recent: list[float] = []
        self._over = threading.Event()
        self._thread = threading.get_ident()

    @property
    def worst(self) -> float:
        """How late the latest beat of the last minute was, seconds."""
        return max(self._recent, default=0.0)

    async def run(self) -> None:
        """Beat, and tell systemd, until cancelled."""
        self._thread = threading.get_ident()
        self._at = time.monotonic()
        watcher = threading.Thread(target=self._watch, name="pulse", daemon=True)
        watcher.start()
        every = watchdog_seconds()
        told = time.monotonic()
        try:
            while True:
                due = time.monotonic() + BEAT_SECONDS
                await asyncio.sleep(BEAT_SECONDS)
                self._at = time.monotonic()
                self._note(max(0.0, self._at - due))
                if every is not None and self._at - told >= every / 3:
                    told = self._at
                    notify("WATCHDOG=1")
        finally:
            self._over.set()

    def _note(self, lag: float) -> None:
        self._recent.append(lag)
        del self._recent[:-_RECENT]
        self._on_lag(lag)
        if lag > LATE_SECONDS:
            _log.warning("the event loop was %.0f ms late: audio of calls was, too", lag * 1000)

    def _watch(self) -> None:
        told = 0.0
        while not self._over.wait(STUCK_SECONDS / 2):
            at = self._at
            if time.monotonic() - at > STUCK_SECONDS and at != told:
                told = at
                frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - there is no other way
                where = "".join(traceback.format_stack(frame)) if frame is not None else "unknown"
                _log.error("the event loop hangs, at:\n%s", where)
