"""A PBX on which nobody calls, as the API shows it."""

from __future__ import annotations

from bridge.protocol.views import CallView


class NoCalls:
    """Shows nothing."""

    def call(self, call_id: str) -> CallView | None:
        del call_id
        return None

    def calls(self) -> tuple[CallView, ...]:
        return ()

    def last(self, call_id: str) -> CallView | None:
        return self.call(call_id)
