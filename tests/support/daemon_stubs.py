"""Parts of a daemon that are as small as a test of another part needs them."""

from __future__ import annotations

from bridge.protocol.views import CallView
from bridge.sdk import Client, Observer


class OwnCalls:
    """Shows the calls that the client has, roughly."""

    def __init__(self, client: Client, tenant: str = "default") -> None:
        self._client = client
        self._tenant = tenant

    def call(self, call_id: str) -> CallView | None:
        return next((view for view in self.calls() if view.call_id == call_id), None)

    def observer(self, call_id: str, name: str) -> Observer | None:
        del call_id, name
        return None

    def calls(self) -> tuple[CallView, ...]:
        return tuple(
            CallView(
                call_id=call.call_id,
                tenant=self._tenant,
                own=True,
                since=0.0,
                state=call.state,
                mode=call.mode,
            )
            for call in self._client.calls
        )
