"""Being asked to stop: once, and then at once."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """``asked``: the daemon is to end in order. ``at_once``: it is not to wait any more."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def ask(self) -> None:
        """Ask to stop; asked again: at once."""
        if self.asked.is_set():
            self.at_once.set()
        self.asked.set()

    @contextmanager
    def by_signals(self, *, on_hangup: Callable[[], None]) -> Iterator[None]:
        """Be asked by SIGTERM and SIGINT; SIGHUP calls a function. A third one kills."""
        loop = asyncio.get_running_loop()

        def asked(which: signal.Signals) -> None:
            _log.info("%s: %s", which.name, "at once" if self.asked.is_set() else "stopping")
            self.ask()
            if self.at_once.is_set():
                for each in SIGNALS:
                    loop.remove_signal_handler(each)

        for each in SIGNALS:
            loop.add_signal_handler(each, asked, each)
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
        try:
            yield
        finally:
            for each in (*SIGNALS, signal.SIGHUP):
                loop.remove_signal_handler(each)


async def first_of(*waits: asyncio.Event | asyncio.Task[Any], seconds: float | None = None) -> bool:
    """Wait for the first of these, no longer than that; tell whether one came."""
    tasks = [
        wait if isinstance(wait, asyncio.Task) else asyncio.create_task(wait.wait())
        for wait in waits
    ]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        own = [task for wait, task in zip(waits, tasks, strict=True) if task is not wait]
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)
