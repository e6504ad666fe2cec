"""Parts of a daemon that are as small as a test of another part needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bridge.api.auth.principal import Principal
from bridge.model.errors import UnauthenticatedError
from bridge.protocol.views import CallView, EventView
from bridge.sdk import Client
from bridge.store.records import Writable
from bridge.store.store import Store


class KnownKeys:
    """An authenticator that knows a dictionary of keys."""

    def __init__(self, principals: Mapping[str, Principal]) -> None:
        self.principals = dict(principals)

    async def authenticate(self, headers: Mapping[str, str], *, remote: str = "") -> Principal:
        scheme, _, key = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key not in self.principals:
            raise UnauthenticatedError(f"no such key, {remote}")
        return self.principals[key]

    async def authenticate_text(self, key: str, *, remote: str = "") -> Principal:
        return await self.authenticate({"Authorization": f"Bearer {key}"}, remote=remote)


class NoLimits:
    """Everybody may ask as often as he likes."""

    def check(self, principal: Principal, *, read: bool = False) -> None:
        pass


class SilentHub:
    """A hub that nothing happens on, but what is published."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[EventView], None]] = []
        self.seq = 0

    def publish(
        self, kind: str, /, *, call_id: str | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        self.seq += 1
        event = EventView(
            seq=self.seq, epoch="stub", at=0.0, type=kind, call_id=call_id, data=dict(data or {})
        )
        for listener in list(self.listeners):
            listener(event)


class OwnCalls:
    """Shows the calls that the client has, roughly."""

    def __init__(self, client: Client, tenant: str = "default") -> None:
        self._client = client
        self._tenant = tenant

    def call(self, call_id: str) -> CallView | None:
        return next((view for view in self.calls() if view.call_id == call_id), None)

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


class MemoryStore(Store):
    """A store that keeps what is written, and reads nothing."""

    def __init__(self) -> None:
        self.written: list[Writable] = []

    def write(self, record: Writable) -> None:
        self.written.append(record)
