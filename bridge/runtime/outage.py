"""When a link that is down means that the calls are lost. See docs/adr/0006."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.ari import LinkState

_REFUSED_SECONDS = 2.5
"""How long nobody may listen at Asterisk's address before its calls are given up."""
_SILENT_SECONDS = 30.0
"""How long a server that does not answer may come back to the calls it had."""
_LOOK_SECONDS = 0.1


class Outage:
    """Watches a link that is down, and tells once when there is no hope for the calls.

    state: asked for how the link is now. on_lost: called with the reason.
    """

    def __init__(self, state: Callable[[], LinkState], on_lost: Callable[[str], None]) -> None:
        self._state = state
        self._on_lost = on_lost
        self.listeners: list[Callable[[str | None], None]] = []
        """Told why the server is lost, and None when it is there again; must not block."""
        self._lost = False
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0

    def begin(self) -> None:
        """The link is down; nothing new if it was."""
        if self._timer is None:
            self._since = asyncio.get_running_loop().time()
            self._look_later()

    def lose(self, reason: str) -> None:
        """There is no hope for the calls; nothing new if that was known."""
        if not self._lost:
            self._lost = True
            self._on_lost(reason)
            self._tell(reason)

    def over(self) -> None:
        """The link is up."""
        self.stop()
        if self._lost:
            self._lost = False
            self._tell(None)

    def stop(self) -> None:
        """Nobody waits for it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, lost: str | None) -> None:
        for listener in list(self.listeners):
            listener(lost)

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        state = self._state()
        down_for = asyncio.get_running_loop().time() - self._since
        if down_for >= (_REFUSED_SECONDS if state.refused else _SILENT_SECONDS):
            self.lose(state.reason)
        else:
            self._look_later()
