"""How long a broken socket may stay broken before what hung on it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Outage:
    """A timer from the first break on. on_lost: told why, once for each outage that is too long."""

    def __init__(self, seconds: float, on_lost: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._on_lost = on_lost
        self._timer: asyncio.TimerHandle | None = None
        self.lost = False
        """It was too long, and is not over."""

    def begin(self, why: str) -> None:
        """The socket broke; again, while it is broken, changes nothing."""
        if self._timer is None and not self.lost:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up, why)

    def end(self) -> bool:
        """The socket is open again; tell whether that was too late."""
        self.stop()
        was_lost, self.lost = self.lost, False
        return was_lost

    def stop(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, why: str) -> None:
        self._timer = None
        self.lost = True
        self._on_lost(why)
