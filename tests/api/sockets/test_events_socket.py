"""The socket of events: who is told what, from where on, and how it ends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from bridge.api.auth.keys import new_key
from bridge.api.auth.limits import WaitingRoom
from bridge.lab.waiting import until
from bridge.model.errors import ErrorCode, StoreError, UnauthenticatedError
from bridge.protocol.frames import (
    EVENTS_SOCKET,
    Authenticate,
    Position,
    Resumed,
    Snapshot,
)
from bridge.protocol.permissions import Role
from bridge.protocol.views import EventView
from tests.support.daemon import FOREIGN_TENANT, RunningApi
from tests.support.sockets import FarEnd, Shown, call_of, far_end, watching


async def told_until(far: FarEnd, kind: str) -> list[EventView]:
    """Read events up to one of a type, which is not among them."""
    found: list[EventView] = []
    while True:
        event = await far.event()
        if event.type == kind:
            return found
        found.append(event)


async def test_a_snapshot_and_then_every_event(told: RunningApi) -> None:
    hub = told.service.hub
    async with watching(told) as (far, first):
        assert isinstance(first, Snapshot)
        assert first.at == hub.position
        assert {call.call_id for call in first.calls} == {"c-1", "c-2", "c-foreign"}
        hub.publish("NOTE_WRITTEN", call_id="c-1", data={"text": "hello"})
        hub.publish("NOTE_WRITTEN", call_id="c-2")
        one, two = await far.event(), await far.event()
    assert (one.seq, two.seq) == (first.at.seq + 1, first.at.seq + 2)
    assert one.epoch == first.at.epoch == hub.epoch
    assert one.data == {"text": "hello"}
    assert one.call == told.service.views.call("c-1")


@pytest.mark.parametrize("key", ["observer", "supervisor", "program"])
async def test_nobody_is_told_of_another_tenants_calls(told: RunningApi, key: str) -> None:
    hub = told.service.hub
    async with (
        watching(told, key=key) as (far, first),
        watching(told, key=f"foreign-{key}") as (foreign, first_there),
    ):
        assert isinstance(first, Snapshot)
        assert isinstance(first_there, Snapshot)
        assert {call.call_id for call in first.calls} == {"c-1", "c-2"}
        assert {call.call_id for call in first_there.calls} == {"c-foreign"}
        hub.publish("MINE", call_id="c-1")
        hub.publish("THEIRS", call_id="c-foreign")
        hub.publish("MINE", tenant="default")
        hub.publish("THEIRS", tenant=FOREIGN_TENANT)
        hub.publish("NOBODYS")
        hub.publish("NOBODYS", call_id="c-unknown")
        hub.publish("SERVER_BACK")
        mine, theirs = (
            await told_until(far, "SERVER_BACK"),
            await told_until(foreign, "SERVER_BACK"),
        )
    assert [event.type for event in mine] == ["MINE", "MINE"]
    assert [event.type for event in theirs] == ["THEIRS", "THEIRS"]


async def test_the_audit_is_for_who_may_see_it(told: RunningApi) -> None:
    hub = told.service.hub
    async with (
        watching(told, key="observer") as (observer, _),
        watching(told, key="supervisor") as (supervisor, _),
    ):
        hub.publish("AUDIT", call_id="c-1")
        hub.publish("SERVER_BACK")
        assert await told_until(observer, "SERVER_BACK") == []
        assert len(await told_until(supervisor, "SERVER_BACK")) == 1


async def test_events_of_one_call_and_of_some_types(told: RunningApi) -> None:
    hub = told.service.hub
    async with (
        watching(told, call_id="c-1") as (one, first),
        watching(told, types=["WANTED", "END"]) as (some, _),
    ):
        assert isinstance(first, Snapshot)
        assert [call.call_id for call in first.calls] == ["c-1"]
        for call_id in ("c-1", "c-2"):
            for kind in ("WANTED", "OTHER"):
                hub.publish(kind, call_id=call_id)
        hub.publish("END", call_id="c-1")
        of_one, of_some = await told_until(one, "END"), await told_until(some, "END")
    assert [(event.call_id, event.type) for event in of_one] == [
        ("c-1", "WANTED"),
        ("c-1", "OTHER"),
    ]
    assert [(e.call_id, e.type) for e in of_some] == [("c-1", "WANTED"), ("c-2", "WANTED")]


async def test_after_a_break_what_was_missed_is_told(told: RunningApi) -> None:
    hub = told.service.hub
    async with watching(told) as (far, _):
        hub.publish("SEEN", call_id="c-1")
        seen = await far.event()
    for number in range(2500):
        hub.publish("MISSED", call_id="c-1", data={"number": number})
    after = Position(epoch=seen.epoch, seq=seen.seq)
    async with watching(told, after=after) as (far, first):
        assert first == Resumed(after=after)
        hub.publish("NEW", call_id="c-1")
        missed = await told_until(far, "NEW")
    assert [event.data["number"] for event in missed] == list(range(2500))


@pytest.mark.parametrize(
    "after",
    [
        Position(epoch="another life", seq=1),
        Position(epoch="", seq=10_000_000),
        Position(epoch="", seq=-7),
    ],
)
async def test_what_cannot_be_told_any_more_is_a_snapshot(
    told: RunningApi, after: Position
) -> None:
    told.service.hub.publish("SEEN", call_id="c-1")
    if not after.epoch:
        after = Position(epoch=told.service.hub.epoch, seq=after.seq)
    async with watching(told, after=after) as (_, first):
        assert isinstance(first, Snapshot)


async def test_a_call_that_is_over_can_be_resumed_but_not_begun(
    told: RunningApi, shown: Shown
) -> None:
    hub = told.service.hub
    hub.publish("SEEN", call_id="c-1")
    after = hub.position
    hub.publish("LAST", call_id="c-1")
    del shown.by_id["c-1"]
    hub.publish("AFTERWARDS", call_id="c-1")
    async with watching(told, call_id="c-1", after=after) as (far, first):
        assert isinstance(first, Resumed)
        last, afterwards = await far.event(), await far.event()
        assert (last.type, afterwards.type) == ("LAST", "AFTERWARDS")
        assert afterwards.tenant == "default", "whose call it was is still known"
    async with far_end(told, EVENTS_SOCKET) as far:
        await far.ws.send_str('{"type": "subscribe", "call_id": "c-1"}')
        end = await far.ended()
    assert (end.code, end.cut_off and end.cut_off.code) == (4004, ErrorCode.CALL_NOT_FOUND)


@pytest.mark.parametrize("call_id", ["c-foreign", "c-unknown"])
async def test_a_foreign_call_is_answered_as_one_that_is_not_there(
    told: RunningApi, call_id: str
) -> None:
    async with far_end(told, EVENTS_SOCKET, key="admin") as far:
        await far.ws.send_str('{"type": "subscribe", "call_id": "c-foreign"}')
        assert isinstance(await far.next(), Snapshot)
    async with far_end(told, EVENTS_SOCKET, key="supervisor") as far:
        await far.ws.send_str(f'{{"type": "subscribe", "call_id": "{call_id}"}}')
        end = await far.ended()
    assert end.cut_off is not None
    assert (end.code, end.cut_off.message) == (4004, f"there is no call {call_id}")


async def test_subscribing_again_replaces_what_was_asked_before(told: RunningApi) -> None:
    hub = told.service.hub
    async with watching(told, call_id="c-1") as (far, _):
        hub.publish("FIRST", call_id="c-1")
        assert (await far.event()).type == "FIRST"
        again = await far.subscribe(call_id="c-2")
        assert isinstance(again, Snapshot)
        assert [call.call_id for call in again.calls] == ["c-2"]
        hub.publish("NOT_WANTED", call_id="c-1")
        hub.publish("SECOND", call_id="c-2")
        assert (await far.event()).type == "SECOND"
        assert hub.broadcast.watchers == 1


# --- who is there -------------------------------------------------------------------------------


async def test_a_browser_says_who_it_is_in_its_first_frame(told: RunningApi) -> None:
    async with far_end(told, EVENTS_SOCKET, key=None) as far:
        await far.say(Authenticate(key=told.keys["observer"]))
        first = await far.subscribe()
        assert isinstance(first, Snapshot)
        assert {call.call_id for call in first.calls} == {"c-1", "c-2"}


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_wrong_key_is_told_so(told: RunningApi, *, by_header: bool) -> None:
    key = f"{told.keys['admin'][:-4]}AAAA"
    async with far_end(told, EVENTS_SOCKET, key=key if by_header else None) as far:
        if not by_header:
            await far.say(Authenticate(key=key))
        end = await far.ended()
    assert (end.code, end.cut_off and end.cut_off.code) == (4001, ErrorCode.UNAUTHENTICATED)


async def test_a_store_that_is_down_is_no_reason_to_stay_away(
    told: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(_key_id: str) -> None:
        raise StoreError("the store is down")

    monkeypatch.setattr(told.service.store, "find_key", down)
    _, key = new_key("kept by the store", Role.ADMIN, "*", now=0.0)
    async with far_end(told, EVENTS_SOCKET, key=key) as far:
        end = await far.ended()
    assert (end.code, end.cut_off and end.cut_off.code) == (1013, ErrorCode.STORE_UNAVAILABLE)


async def test_who_does_not_say_who_he_is_in_time_is_cut_off(
    told: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.api.sockets.common.AUTHENTICATE_SECONDS", 0.05)
    async with far_end(told, EVENTS_SOCKET, key=None) as far:
        end = await far.ended()
    assert (end.code, end.cut_off and end.cut_off.code) == (4001, ErrorCode.UNAUTHENTICATED)


async def test_a_key_that_is_revoked_ends_the_socket(
    told: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.api.sockets.common.AGAIN_SECONDS", 0.05)
    async with watching(told, key="observer") as (far, _):
        await asyncio.sleep(0)
        told.service.authenticator = Nobody()  # type: ignore[assignment]  # one that knows no key
        end = await far.ended()
    assert (end.code, end.cut_off and end.cut_off.code) == (4001, ErrorCode.UNAUTHENTICATED)


class Nobody:
    """Knows no key any more."""

    async def authenticate(self, _headers: object, *, remote: str = "") -> object:
        raise UnauthenticatedError(f"this key is revoked, {remote}")

    async def close(self) -> None:
        """Nothing is open."""


# --- how it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        '{"type": "unknown"}',
        '{"type": "subscribe", "more": 1}',
        '{"type": "subscribe", "types": 5}',
        '{"type": "subscribe", "after": {"epoch": "x", "seq": 1.5}}',
        '{"type": "clear_audio"}',
        '{"type": "authenticate", "key": "x"}',
        "[" * 50_000,
        b"\0\1",
    ],
    ids=lambda frame: repr(frame[:40]),
)
async def test_a_bad_frame_is_told_and_ends_that_socket_alone(
    told: RunningApi, frame: str | bytes
) -> None:
    async with watching(told) as (other, _), far_end(told, EVENTS_SOCKET) as far:
        if isinstance(frame, bytes):
            await far.ws.send_bytes(frame)
        else:
            await far.ws.send_str(frame)
        end = await far.ended()
        assert (end.code, end.cut_off and end.cut_off.code) == (4000, ErrorCode.BAD_ARGUMENT)
        told.service.hub.publish("STILL_THERE")
        assert (await other.event()).type == "STILL_THERE"


async def test_a_frame_that_is_too_large_ends_the_socket(told: RunningApi) -> None:
    async with far_end(told, EVENTS_SOCKET) as far:
        await far.ws.send_str("x" * 100_000)
        assert (await far.ended()).code == 1009


async def test_a_daemon_that_stops_says_so(told: RunningApi) -> None:
    async with watching(told) as (far, _):
        told.service.hub.close()
        end = await far.ended()
    assert (end.code, end.cut_off and end.cut_off.code) == (1001, ErrorCode.DRAINING)
    told.service.draining = True
    async with far_end(told, EVENTS_SOCKET) as far:
        end = await far.ended()
    assert (end.code, end.cut_off and end.cut_off.code) == (1001, ErrorCode.DRAINING)


async def test_nothing_is_left_of_who_leaves(told: RunningApi) -> None:
    hub = told.service.hub
    before = len(asyncio.all_tasks())
    for abrupt in (False, True):
        async with watching(told) as (far, _):
            assert hub.broadcast.watchers == 1
            if abrupt:
                far.vanish()
        await until(lambda: not hub.broadcast.watchers, "the watcher is forgotten")
        await until(lambda: not hub.enders, "so is his socket")
    await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")


async def test_a_request_that_is_no_websocket_is_a_problem(told: RunningApi) -> None:
    reply = await told.ask("GET", EVENTS_SOCKET)
    assert (reply.status, reply.code) == (400, ErrorCode.BAD_ARGUMENT)


async def test_an_event_says_how_the_call_was_last(told: RunningApi, shown: Shown) -> None:
    shown.by_id["c-3"] = call_of("c-3", "default", "sales", caller_number="1002")
    hub = told.service.hub
    async with watching(told) as (far, _):
        hub.publish("SOMETHING", call_id="c-3")
        del shown.by_id["c-3"]
        hub.publish("LATER", call_id="c-3")
        first, later = await far.event(), await far.event()
    assert later.call == first.call
    assert (later.tenant, later.queue) == ("default", "sales")


async def test_who_does_not_say_who_he_is_leaves_room_for_others(told: RunningApi) -> None:
    waiting = told.service.authenticator.waiting = WaitingRoom(of_one=2)
    async with AsyncExitStack() as stack:
        silent = [
            await stack.enter_async_context(far_end(told, EVENTS_SOCKET, key=None))
            for _ in range(2)
        ]
        await until(lambda: len(waiting) == len(silent), "they wait")
        async with far_end(told, EVENTS_SOCKET, key=None) as far:
            end = await far.ended()
        assert (end.code, end.cut_off and end.cut_off.code) == (1013, ErrorCode.RATE_LIMITED)
        async with far_end(told, EVENTS_SOCKET, key="observer") as far:
            assert isinstance(await far.subscribe(), Snapshot)
        await silent[0].say(Authenticate(key=told.keys["observer"]))
        assert isinstance(await silent[0].subscribe(), Snapshot)
        async with far_end(told, EVENTS_SOCKET, key=None) as far:
            await far.say(Authenticate(key=told.keys["observer"]))
            assert isinstance(await far.subscribe(), Snapshot)
    await until(lambda: not len(waiting), "nobody waits any more")
