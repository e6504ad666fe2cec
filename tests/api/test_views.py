"""How calls are shown: when a view is newer, and whose a call is."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from bridge.api import belonging
from bridge.api import views as views_module
from bridge.api.auth.tenancy import Tenancy, TenantRule
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.errors import ServerUnreachableError
from bridge.model.modes import AudioMode
from bridge.model.states import CallState, EndReason
from bridge.protocol.views import CallView, EventView
from bridge.sdk import ActiveCall, events
from tests.api.calling import called
from tests.api.desk import DIRECT, Desk, opened
from tests.support.daemon import RunningApi, running_api
from tests.support.pbx import Pbx

ACME = Tenancy([TenantRule(tenant="acme", queue="sales", dialled="2*")])
BY_HEADER = Tenancy([TenantRule(tenant="acme", header=("X-Tenant", "acme"))])


async def sees(api: RunningApi, key: str) -> list[str]:
    listed = await api.done("GET", "/calls", key=key)
    return [one["call_id"] for one in listed["items"]]


async def test_a_revision_grows_with_every_change_and_with_nothing_else(
    api: RunningApi, fake: FakeAri
) -> None:
    call, views = await called(api, fake), api.service.views
    pending = views.call(call.call_id)
    assert pending is not None
    assert views.call(call.call_id) == pending
    assert [one.revision for one in views.calls()] == [pending.revision]
    await call.answer()
    answered = views.call(call.call_id)
    assert answered is not None
    assert answered.revision > pending.revision
    observer = await api.client.observe(call, "boss")
    observed = views.call(call.call_id)
    assert observed is not None
    assert observed.revision > answered.revision
    assert [one.name for one in observed.observers] == ["boss"]
    await observer.leave()
    left = views.call(call.call_id)
    assert left is not None
    assert (left.observers, left.revision > observed.revision) == ((), True)
    await api.client.hang_up(call)
    assert (views.call(call.call_id), views.calls()) == (None, ())


async def test_a_revision_of_an_observer_grows_as_that_of_a_call(
    api: RunningApi, fake: FakeAri
) -> None:
    call, views = await called(api, fake), api.service.views
    await call.answer()
    observer = await api.client.observe(call, "boss")
    spying = views.observer_view(observer, call.call_id)
    assert views.observers(call.call_id) == (spying,)
    await observer.barge()
    barging = views.observer_view(observer, call.call_id)
    assert (barging.mode, barging.revision > spying.revision) == (AudioMode.BARGE, True)
    await observer.leave()
    left = views.observer_view(observer, call.call_id)
    assert (left.left, left.revision > barging.revision) == ("left", True)
    await api.client.hang_up(call)


async def test_an_end_in_order_is_no_fault(
    api: RunningApi, fake: FakeAri, caplog: pytest.LogCaptureFixture
) -> None:
    call = await called(api, fake)
    await call.answer()
    await api.done("POST", f"/calls/{call.call_id}/observers", {"name": "boss"})
    left: list[str] = []
    api.client.tap(lambda event, *_about: left.append(event))
    await api.client.disconnect()
    assert events.OBSERVER_LEFT in left
    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []


@pytest.mark.asterisk
async def test_no_view_is_older_than_one_of_an_earlier_daemon(pbx: Pbx, tmp_path: Path) -> None:
    async with opened(pbx, tmp_path) as desk:
        call, caller = await desk.picked_up(
            desk.api.done("POST", "/calls", {"to": DIRECT}), "leg.caller"
        )
        path = f"/calls/{call['call_id']}"
        _, callee = await desk.picked_up(
            desk.api.done("POST", f"{path}/connect", {"to": DIRECT}), "leg.callee"
        )
        before = await desk.api.done("GET", path)
        await desk.api.client.disconnect()
    async with opened(pbx, tmp_path) as desk:
        view = await desk.api.done("GET", path)
        assert view["revision"] > before["revision"]
        await desk.api.client.hang_up(call["call_id"])
    await asyncio.gather(caller.wait_closed(), callee.wait_closed())


async def test_a_call_that_was_not_seen_for_a_while_is_shown_newer_than_before(
    api: RunningApi, fake: FakeAri, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, views = await called(api, fake), api.service.views
    await call.answer()
    before = views.call(call.call_id)
    with monkeypatch.context() as nothing:
        nothing.setattr(api.client, "get_call", lambda _call_id: None)
        nothing.setattr(api.client, "live_call", lambda _call_id: None)
        assert views.call(call.call_id) is None
    again = views.call(call.call_id)
    assert before is not None
    assert again is not None
    assert again.revision > before.revision
    await call.disconnect()


async def test_a_call_that_comes_is_one_that_nobody_has_answered_or_left(
    api: RunningApi, fake: FakeAri
) -> None:
    told: list[EventView] = []
    api.service.hub.listeners.append(told.append)
    call = await called(api, fake)
    shown = [one.call for one in told if one.call_id == call.call_id and one.call is not None]
    assert {(one.state, one.end_reason) for one in shown} == {(CallState.PENDING, None)}
    await call.disconnect()


async def test_a_call_is_its_tenants_and_its_queues(fake: FakeAri, tmp_path: Path) -> None:
    async with running_api(fake, tmp_path, tenancy=ACME) as api:
        ours, theirs = await called(api, fake), await called(api, fake, "2001")
        view = api.service.views.call(theirs.call_id)
        assert view is not None
        assert (view.tenant, view.queue) == ("acme", "sales")
        assert dict(theirs.labels) == {"tenant": "acme", "queue": "sales"}
        assert dict(ours.labels) == {}
        assert set(await sees(api, "admin")) == {ours.call_id, theirs.call_id}
        assert await sees(api, "supervisor") == [ours.call_id]
        assert await sees(api, "foreign-supervisor") == [theirs.call_id]
        await asyncio.gather(ours.disconnect(), theirs.disconnect())


async def test_a_call_is_nobodys_until_its_headers_were_read(
    fake: FakeAri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = asyncio.Event()

    async def header(_call: ActiveCall, name: str) -> str:
        await answered.wait()
        return "acme" if name == "x-tenant" else ""

    monkeypatch.setattr(ActiveCall, "header", header)
    async with running_api(fake, tmp_path, tenancy=BY_HEADER) as api:
        call = await called(api, fake)
        assert await sees(api, "admin") == [call.call_id]
        with monkeypatch.context() as hurry:
            hurry.setattr(views_module, "_WHOSE_SECONDS", 0.0)
            assert await sees(api, "supervisor") == []
            assert await sees(api, "foreign-supervisor") == []
        monkeypatch.setattr(views_module, "_WHOSE_SECONDS", 10.0)
        both = [asyncio.create_task(sees(api, f"{key}supervisor")) for key in ("", "foreign-")]
        # Whose a call is that has just begun is known in a moment.
        await asyncio.wait(both, timeout=0.05)
        assert not any(task.done() for task in both)
        answered.set()
        assert await asyncio.gather(*both) == [[], [call.call_id]]
        await call.disconnect()


async def test_headers_that_could_not_be_read_are_not_taken_for_missing(
    fake: FakeAri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def header(_call: ActiveCall, name: str) -> str:
        asked.append(name)
        if len(asked) == 1:
            raise ServerUnreachableError("not now")
        return "acme"

    monkeypatch.setattr(ActiveCall, "header", header)
    monkeypatch.setattr(belonging, "_AGAIN_SECONDS", 0.05)
    async with running_api(fake, tmp_path, tenancy=BY_HEADER) as api:
        told: list[EventView] = []
        api.service.hub.listeners.append(told.append)
        call = await called(api, fake)
        await until(lambda: "tenant" in call.labels, "it is known whose it is")
        await call.disconnect()
        await until(lambda: told[-1].type == "LIVE_CALL_ENDED", "it is over")
        assert [(one.type, one.tenant) for one in told] == [
            ("LIVE_CALL_BEGAN", ""),
            ("INCOMING_CALL", ""),
            ("CALL_TERMINATED", "acme"),
            ("LIVE_CALL_ENDED", "acme"),
        ]
        assert {one.call and one.call.state for one in told[2:]} == {CallState.DISCONNECTED}
    assert asked == ["x-tenant"] * 2


async def test_nobody_waits_for_ever_where_one_call_begins_after_the_other(
    api: RunningApi, fake: FakeAri, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, views = await called(api, fake), api.service.views
    (view,) = views.calls()

    def nobodys() -> tuple[CallView, ...]:
        return (msgspec.structs.replace(view, tenant="", since=time.time()),)

    monkeypatch.setattr(views_module, "_WHOSE_SECONDS", 0.1)
    monkeypatch.setattr(views, "calls", nobodys)
    async with asyncio.timeout(2.0):
        assert await sees(api, "supervisor") == []
    await call.disconnect()


async def test_nothing_is_shown_without_a_connection(api: RunningApi, fake: FakeAri) -> None:
    call = await called(api, fake)
    await api.client.disconnect()
    assert (api.service.views.call(call.call_id), api.service.views.calls()) == (None, ())
    assert api.service.views.observers(call.call_id) == ()


@pytest.mark.asterisk
async def test_whose_a_call_is_outlives_the_daemon(pbx: Pbx, tmp_path: Path) -> None:
    async with opened(pbx, tmp_path) as desk:
        call, caller = await desk.picked_up(
            desk.api.done("POST", "/calls", {"to": DIRECT}, key="foreign-admin"), "leg.caller"
        )
        path = f"/calls/{call['call_id']}"
        _, callee = await desk.picked_up(
            desk.api.done("POST", f"{path}/connect", {"to": DIRECT}, key="foreign-admin"),
            "leg.callee",
        )
        view = await desk.api.done("GET", path, key="foreign-supervisor")
        assert (view["tenant"], view["originated"]) == ("acme", True)
        await desk.api.client.disconnect()
    assert not caller.closed
    async with opened(pbx, tmp_path) as desk:
        view = await desk.api.done("GET", path, key="foreign-supervisor")
        assert (view["tenant"], view["state"], view["own"]) == ("acme", "CONNECTED", True)
        assert await desk.refused("GET", path, key="supervisor") == "CALL_NOT_FOUND"
    await callee.wait_closed()


@pytest.mark.asterisk
async def test_what_is_told_of_an_end_shows_it_and_of_a_call_that_goes_on_that(desk: Desk) -> None:
    told: dict[str, EventView] = {}
    desk.api.service.hub.listeners.append(
        lambda event: told.update({f"{event.type} {event.call_id}": event})
    )
    left, *_ = await desk.own()
    await desk.api.done("POST", f"/calls/{left}/leave", {})
    ended, *_ = await desk.own()
    await desk.api.done("DELETE", f"/calls/{ended}")
    ends = {f"CALL_TERMINATED {ended}", f"LIVE_CALL_ENDED {ended}"}
    await until(lambda: ends <= told.keys(), "it is told")

    goes_on = told[f"CALL_TERMINATED {left}"].call
    assert goes_on is not None
    assert (goes_on.state, goes_on.end_reason) == (CallState.CONNECTED, EndReason.AGENT_LEFT)
    over = told[f"CALL_TERMINATED {ended}"].call
    assert over is not None
    assert (over.state, over.end_reason) == (CallState.DISCONNECTED, EndReason.AGENT_ENDED)
    gone = told[f"LIVE_CALL_ENDED {ended}"].call
    assert gone is not None
    assert gone.state is CallState.DISCONNECTED
