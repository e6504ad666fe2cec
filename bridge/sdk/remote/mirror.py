"""Live calls of the PBX as the daemon tells of them."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.model.states import CallState
from bridge.protocol.views import CallView, EventView
from bridge.sdk import events


class Mirror:
    """All calls that one may see, by the newest of the views."""

    def __init__(self) -> None:
        self._calls: dict[str, CallView] = {}

    @property
    def calls(self) -> tuple[CallView, ...]:
        """All of them, the eldest first."""
        return tuple(sorted(self._calls.values(), key=lambda view: (view.since, view.call_id)))

    def get(self, call_id: str) -> CallView | None:
        """Return a call as it is known."""
        return self._calls.get(call_id)

    def take(self, event: EventView) -> None:
        """Take what an event says."""
        view = event.call
        if view is None:
            return
        if event.type == events.LIVE_CALL_ENDED or view.state is CallState.DISCONNECTED:
            self._calls.pop(view.call_id, None)
            return
        known = self._calls.get(view.call_id)
        if known is None or view.revision >= known.revision:
            self._calls[view.call_id] = view

    def replace(
        self, calls: Iterable[CallView]
    ) -> tuple[tuple[CallView, ...], tuple[CallView, ...]]:
        """Take all calls as they are; return those that are new, and those that are gone."""
        before, self._calls = self._calls, {view.call_id: view for view in calls}
        new = tuple(view for view in self.calls if view.call_id not in before)
        gone = tuple(view for call_id, view in before.items() if call_id not in self._calls)
        return new, gone
