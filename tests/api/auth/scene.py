"""Calls of two tenants and two queues, what belongs to them, and keys of every reach."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bridge.api.auth.keys import new_key
from bridge.api.auth.tenancy import Tenancy, TenantRule
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.protocol.permissions import EVERY_TENANT, Role
from bridge.protocol.views import AuditView, CallRecordView
from bridge.sdk import ActiveCall
from tests.support.daemon import RunningApi, running_api

REACHES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "all": (EVERY_TENANT, ()),
    "own": ("default", ()),
    "own queue": ("default", ("sales", "vip")),
    "other queue": ("default", ("support",)),
    "foreign": ("acme", ()),
    "foreign queue": ("acme", ("sales",)),
}
"""Tenant and queues of keys. The call that is asked about is of the queue sales of default."""

TENANCY: Final = Tenancy(
    [
        TenantRule(tenant="default", queue="sales", dialled="1002"),
        TenantRule(tenant="default", queue="support", dialled="1003"),
        TenantRule(tenant="acme", queue="sales", dialled="1004"),
    ]
)


def key_of(role: Role | str, reach: str) -> str:
    """Return the name of a key."""
    return f"{role} {reach}"


@dataclass
class Scene:
    """A running API, and what is there. Ids are of what is of default (and of sales)."""

    api: RunningApi
    fake: FakeAri
    call: str = ""
    support_call: str = ""
    foreign_call: str = ""
    over: str = "over-1"
    foreign_over: str = "over-2"
    ids: dict[str, str] = field(default_factory=dict)
    foreign_ids: dict[str, str] = field(default_factory=dict)

    async def ring(self, number: str) -> str:
        """Let a call come in; return its id, when it is known whose it is."""
        before = {call.call_id for call in self.api.client.calls}
        self.fake.incoming_call(number=number)
        await until(lambda: len(self.api.client.calls) > len(before), "the call is there")
        (call_id,) = {call.call_id for call in self.api.client.calls} - before
        view = self.api.service.views.call
        await until(lambda: (shown := view(call_id)) is not None and shown.tenant, "it is known")
        return str(call_id)

    def active(self, call_id: str) -> ActiveCall:
        """Return a call as the daemon's client has it."""
        found = self.api.client.get_call(call_id)
        assert found is not None
        return found

    async def arrange(self) -> None:
        """Have calls, and what belongs to them."""
        self.call, self.support_call, self.foreign_call = [
            await self.ring(number) for number in ("1002", "1003", "1004")
        ]
        for call_id in (self.call, self.support_call, self.foreign_call):
            await self.api.done("POST", f"/calls/{call_id}/answer")
        for ids, call_id, tenant in (
            (self.ids, self.call, "default"),
            (self.foreign_ids, self.foreign_call, "acme"),
        ):
            await self._have(ids, call_id, tenant)
        store = self.api.service.store
        for call_id, tenant in ((self.over, "default"), (self.foreign_over, "acme")):
            store.write(
                CallRecordView(
                    call_id=call_id, tenant=tenant, queue="sales", began_at=1.0, ended_at=2.0
                )
            )
            store.write(
                AuditView(
                    at=time.time(),
                    call_id=call_id,
                    who="ai",
                    what="said",
                    by="program",
                    result="done",
                    tenant=tenant,
                )
            )

    async def _have(self, ids: dict[str, str], call_id: str, tenant: str) -> None:
        done = self.api.done
        ids["call_id"] = call_id
        recording = await done("POST", f"/calls/{call_id}/recordings", {})
        ids["recording_id"] = recording["recording_id"]
        ids["name"] = recording["description"]
        observer = await done("POST", f"/calls/{call_id}/observers", {"name": "listener"})
        ids["observer"] = observer["name"]
        hook = {
            "url": "http://127.0.0.1:9/",
            "secret": "x" * 32,
            "tenant": tenant,
            "events": ["SERVER_LOST"],
        }
        ids["webhook_id"] = (await done("POST", "/webhooks", hook))["webhook_id"]
        key = {"name": "k", "role": "observer", "tenant": tenant}
        ids["key_id"] = (await done("POST", "/keys", key))["key_id"]
        await done("PUT", f"/calls/{call_id}/context", {"values": {"tenant": tenant}})


@asynccontextmanager
async def arranged(fake: FakeAri, folder: Path) -> AsyncIterator[Scene]:
    """Run the API, with a key of every role and reach, and the calls."""
    async with running_api(fake, folder, tenancy=TENANCY) as api:
        scene = Scene(api, fake)
        for role in Role:
            for reach, (tenant, queues) in REACHES.items():
                name = key_of(role, reach)
                key, api.keys[name] = new_key(name, role, tenant, queues=queues, now=0.0)
                # As those of the configuration; what the store keeps is tested with its own.
                api.service.authenticator._fixed[key.key_id] = key
        await scene.arrange()
        yield scene
        for call in list(api.client.calls):
            await call.disconnect(cut=True)
