"""The socket of a program: what it is told of its calls, and of those that somebody else rings."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bridge.api.auth.tenancy import Tenancy, TenantRule
from bridge.api.programs import facts
from bridge.api.programs.facts import FactFinder
from bridge.api.programs.routes import Facts
from bridge.api.sockets.program import BEHIND_BYTES
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.states import CallState
from bridge.protocol.frames import (
    PROGRAM_SOCKET,
    Accept,
    Attach,
    Attached,
    Event,
    Granted,
    Offer,
    Route,
    Withdrawn,
)
from tests.support.daemon import FOREIGN_TENANT, TENANT, RunningApi, running_api
from tests.support.sockets import FarEnd, far_end

PATH = PROGRAM_SOCKET.format(name="desk")


async def attached(far: FarEnd, **how: Any) -> Attached:
    """Attach, and return what is answered."""
    await far.say(Attach(**how))
    got = await far.next()
    assert isinstance(got, Attached), got
    return got


async def taken(fake: FakeAri, far: FarEnd) -> str:
    """Let a call come in for a program, which takes it; return its id."""
    fake.incoming_call()
    offer = await far.nearest(Offer)
    await far.say(Accept(call_id=offer.call.call_id))
    return (await far.nearest(Granted)).call.call_id


@pytest.mark.parametrize(("client", "active"), [("me", True), ("another", False), ("", False)])
async def test_who_attaches_again_has_his_lease_though_his_old_socket_is_open(
    api: RunningApi, client: str, *, active: bool
) -> None:
    async with far_end(api, PATH, key="program") as old:
        assert (await attached(old, client="me")).active
        async with far_end(api, PATH, key="program") as new:
            assert (await attached(new, client=client)).active is active
            assert not old.ws.closed


async def test_who_reads_is_told_all_that_it_missed_however_much(
    api: RunningApi, fake: FakeAri
) -> None:
    hub, text = api.service.hub, "x" * 10_000
    many = 3 * BEHIND_BYTES // len(text)
    async with far_end(api, PATH, key="program") as far:
        await attached(far)
        call_id = await taken(fake, far)
        after = hub.position
    await until(lambda: not hub.enders, "its socket is forgotten")
    for number in range(many):
        hub.publish("MISSED", call_id=call_id, data={"number": number, "text": text})
    async with far_end(api, PATH, key="program") as far:
        assert (await attached(far, after=after)).resumed
        hub.publish("NEW", call_id=call_id)
        missed = []
        while (event := (await far.nearest(Event)).event).type != "NEW":
            if event.type == "MISSED":
                missed.append(event.data["number"])
    assert missed == list(range(many))


@pytest.mark.parametrize("key", ["program", "admin"])
async def test_a_program_is_told_of_the_call_that_somebody_rings_for_it(
    api: RunningApi, key: str
) -> None:
    async with far_end(api, PATH, key="program") as far:
        await attached(far)
        rung = await api.done("POST", "/calls", {"to": "1005", "program": "desk"}, key=key)
        granted = (await far.nearest(Granted)).call
        assert (granted.call_id, granted.program) == (rung["call_id"], "desk")
        assert (granted.originated, granted.state) == (True, CallState.ANSWERED)
        await api.done("DELETE", f"/calls/{granted.call_id}", key="program")


async def test_a_call_that_is_rung_for_a_program_is_of_the_programs_tenant(
    api: RunningApi,
) -> None:
    async with far_end(api, PATH, key="foreign-program") as far:
        await attached(far)
        rung = await api.done("POST", "/calls", {"to": "1005", "program": "desk"})
        assert rung["tenant"] == FOREIGN_TENANT
        assert (await far.nearest(Granted)).call.call_id == rung["call_id"]
        await api.done("DELETE", f"/calls/{rung['call_id']}", key="foreign-program")


async def test_of_two_programs_of_one_name_the_one_that_is_there_is_meant(
    api: RunningApi, fake: FakeAri
) -> None:
    async with far_end(api, PATH, key="foreign-program") as gone:
        await attached(gone, lease_seconds=300.0)
        await api.done("POST", "/calls", {"to": "1005", "program": "desk"}, key="foreign-program")
    await until(lambda: not api.service.hub.enders, "its socket is forgotten")
    async with far_end(api, PATH, key="program") as far:
        await attached(far)
        rung = await api.done("POST", "/calls", {"to": "1005", "program": "desk"})
        assert rung["tenant"] == TENANT
        await far.nearest(Granted)
    for call in api.client.calls:
        await call.disconnect(cut=True)
    await until(lambda: not fake.world.channels, "nobody is left")


async def test_a_call_is_offered_as_soon_as_it_is_known_whose_it_is(
    fake: FakeAri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "TENANT_SECONDS", 0.02)
    fake.failures.delay("GET", "channels/.*/variable", 0.2, times=10)
    tenancy = Tenancy([TenantRule(tenant=FOREIGN_TENANT, header=("X-Tenant", "acme"))])
    async with running_api(fake, tmp_path, tenancy=tenancy) as api, far_end(api, PATH) as anybody:
        await attached(anybody, routes=(Route(dialled="none"),))
        async with far_end(api, PATH, key="program") as far:
            await attached(far)
            call_id = await taken(fake, far)
            await api.done("DELETE", f"/calls/{call_id}")


async def test_of_a_call_that_is_over_nothing_is_remembered(fake: FakeAri, tmp_path: Path) -> None:
    async with running_api(fake, tmp_path) as api, far_end(api, PATH, key="program") as far:
        await attached(far, routes=(Route(header=("X-Queue", "*")),))
        call_id = await taken(fake, far)
        call = api.client.get_call(call_id)
        assert call is not None
        finder = FactFinder(api.service.views.call, lambda _tenant, _queue: frozenset({"X-Queue"}))
        assert await finder.of(call) == Facts(
            tenant=TENANT,
            dialled=call.callee_number,
            endpoint=call.caller_endpoint,
            headers={"x-queue": ""},
        )
        assert len(finder) == 1
        finder.forget(call_id)
        await call.disconnect(cut=True)
        await until(lambda: api.service.views.call(call_id) is None, "the call is over")
        assert await finder.of(call) is None
        assert not len(finder)


async def test_programs_of_one_name_and_several_queues_are_all_listed(api: RunningApi) -> None:
    body = {"name": "bot", "role": "program", "tenant": TENANT}
    async with AsyncExitStack() as stack:
        for queues in (["sales"], ["sales", "support"]):
            key = await api.done("POST", "/keys", {**body, "queues": queues})
            far = await stack.enter_async_context(far_end(api, PATH, key=key["secret"]))
            await attached(far)
        first = await api.done("GET", "/programs", query={"limit": "1"})
        rest = await api.done("GET", "/programs", query={"limit": "1", "cursor": first["next"]})
        assert [(one["name"], one["queues"]) for one in first["items"] + rest["items"]] == [
            ("desk", ["sales"]),
            ("desk", ["sales", "support"]),
        ]
        assert rest["next"] is None


async def test_who_accepts_a_call_that_has_just_gone_is_told_so(
    fake: FakeAri, api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with far_end(api, PATH, key="program") as far:
        await attached(far)
        caller = fake.incoming_call()
        offer = await far.nearest(Offer)
        with monkeypatch.context() as gone:
            gone.setattr(api.client, "get_call", lambda _call_id: None)
            await far.say(Accept(call_id=offer.call.call_id))
            assert (await far.nearest(Withdrawn)).call_id == offer.call.call_id
        fake.channel_hangs_up(caller.id)
