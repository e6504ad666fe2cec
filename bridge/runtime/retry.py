"""Trying again after a while, which grows with every failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_FIRST_SECONDS: Final = 0.5
_MOST_SECONDS: Final = 30.0


class Retry:
    """At most one timer; ``again`` is called when it is time."""

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._failures = 0
        self._timer: asyncio.TimerHandle | None = None

    def later(self) -> None:
        """Something failed: set the timer, anew if it was set."""
        self.stop()
        delay = min(_MOST_SECONDS, _FIRST_SECONDS * 2**self._failures)
        self._failures += 1
        self._timer = asyncio.get_running_loop().call_later(delay, self._again)

    def succeeded(self) -> None:
        """All is well: the next failure is the first one. A timer that is set stays."""
        self._failures = 0

    def stop(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
