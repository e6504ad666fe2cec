"""An event loop for which waiting takes no time: thousands of scripts against the fake server.

When nothing is to be done and nothing arrives, its clock jumps to the next timer. So whatever
waits by the loop's time (``asyncio.sleep``, timeouts, ``loop.time()``) waits as long as ever by
that clock, and not at all by the wall's. Not for programs that wait for another process or a
thread: their deadlines pass at once.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

GRACE_S = 0.0002
"""How long it is waited for data that is on its way between two sockets of this process."""


class _Selector(selectors.DefaultSelector):
    """Waits for what is there already; counts the time that was asked for beyond that."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; without anything, let the time have passed."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0) or super().select(min(timeout, GRACE_S))
        if not ready:
            self.skipped_s += max(0.0, timeout - GRACE_S)
        return ready


class HurriedLoop(asyncio.SelectorEventLoop):
    """The loop; ``asyncio.Runner(loop_factory=HurriedLoop)`` or ``run_hurried``."""

    def __init__(self) -> None:
        self._skipping = _Selector()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Return the time in seconds, with what was skipped."""
        return super().time() + self._skipping.skipped_s


def run_hurried(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end as ``asyncio.run`` does, without waiting."""
    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(main)
