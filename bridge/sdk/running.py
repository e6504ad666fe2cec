"""How a program stays until it is to end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

from bridge.runtime.tasks import first_of


async def until_stopped(ended: asyncio.Event) -> None:
    """Return at SIGTERM, at SIGINT (Ctrl-C), or when ``ended`` is set.

    SIGINT is left to a program that deals with it itself. Only the main thread can have signal
    handlers; elsewhere the program sees to it.
    """
    stopped = asyncio.Event()
    with _SIGNALS.told(stopped):
        waits = [
            asyncio.create_task(stopped.wait(), name="stopped"),
            asyncio.create_task(ended.wait(), name="client ended"),
        ]
        await first_of(*waits)


class _Signals:
    """Tells all who wait, of whom there is one a client, of the signals that end a program."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()
        self._taken: list[signal.Signals] = []
        self._before: Callable[[int, FrameType | None], Any] | int | None = None
        """Who dealt with SIGINT."""

    @contextlib.contextmanager
    def told(self, stopped: asyncio.Event) -> Iterator[None]:
        """Set ``stopped`` at a signal."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        if not self._waiting:
            self._take()
        self._waiting.add(stopped)
        try:
            yield
        finally:
            self._waiting.discard(stopped)
            if not self._waiting:
                self._give_back()

    def _take(self) -> None:
        loop = asyncio.get_running_loop()
        self._before = signal.getsignal(signal.SIGINT)
        wanted = [signal.SIGTERM, signal.SIGINT] if _is_usual(self._before) else [signal.SIGTERM]
        with contextlib.suppress(NotImplementedError):
            for number in wanted:
                loop.add_signal_handler(number, self._stop)
                self._taken.append(number)

    def _stop(self) -> None:
        for stopped in self._waiting:
            stopped.set()

    def _give_back(self) -> None:
        loop = asyncio.get_running_loop()
        for number in self._taken:
            loop.remove_signal_handler(number)
            if number is signal.SIGINT:
                # The loop leaves Python's own there, which would end a second Ctrl-C anywhere,
                # and not asyncio.run's, which cancels what is left in order.
                signal.signal(number, self._before)
        self._taken.clear()


def _is_usual(handler: object) -> bool:
    """Tell whether nobody deals with SIGINT but Python, or asyncio.run."""
    of_asyncio = isinstance(handler, functools.partial) and isinstance(
        getattr(handler.func, "__self__", None), asyncio.Runner
    )
    return of_asyncio or handler is signal.default_int_handler


_SIGNALS: Final = _Signals()
