"""Commands about whole calls, on a real Asterisk: what they do, and what they say when not."""

from __future__ import annotations

import asyncio

import pytest

from bridge.lab.hearing import tone
from bridge.lab.phones import Behaviour
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.waiting import until
from tests.api.desk import DIRECT, Desk
from tests.integration.supervision.floor import COACH_HZ, will_hear
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, SENT_DBFS

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

NOBODY = "000000000000"


async def agent_says(desk: Desk, call_id: str) -> None:
    """Let the agent of a call say the tone of an observer for ten seconds, or until it is cut."""
    call = desk.api.client.get_call(call_id)
    assert call is not None
    await call.send_audio(tone(COACH_HZ, SENT_DBFS, 10.0, 16000).astype("<i2").tobytes())


async def test_a_call_from_its_first_ring_to_its_end(desk: Desk) -> None:
    call_id, caller = await desk.incoming()
    view = await desk.api.done("GET", f"/calls/{call_id}")
    assert (view["state"], view["own"], view["callee_number"]) == ("PENDING", True, "1002")
    assert (view["tenant"], view["parties"]) == ("default", [])
    assert (await desk.api.done("POST", f"/calls/{call_id}/answer"))["state"] == "ANSWERED"
    assert await desk.refused("POST", f"/calls/{call_id}/answer") == "INVALID_STATE"
    view, callee = await desk.picked_up(
        desk.api.done("POST", f"/calls/{call_id}/connect", {"to": DIRECT}),
        "leg.callee",
        CALLEE_TONE,
    )
    assert (view["state"], view["mode"]) == ("CONNECTED", "barge")
    assert [party["name"] for party in view["parties"]] == ["caller", "callee"]
    await will_hear(
        {"caller": caller, "callee": callee}, {"caller": {"callee"}, "callee": {"caller"}}
    )
    listed = await desk.api.done("GET", "/calls")
    assert [one["call_id"] for one in listed["items"]] == [call_id]
    assert listed["items"][0]["revision"] > 1
    await desk.api.done("DELETE", f"/calls/{call_id}")
    await caller.wait_closed()
    await callee.wait_closed()
    assert await desk.refused("GET", f"/calls/{call_id}") == "CALL_NOT_FOUND"
    assert await desk.refused("DELETE", f"/calls/{call_id}") == "CALL_NOT_FOUND"
    assert (await desk.api.done("GET", "/calls"))["items"] == []


async def test_modes_of_the_agent_are_heard_and_not_heard(desk: Desk) -> None:
    call_id, caller, callee = await desk.own()
    ears = {"caller": caller, "callee": callee}
    await agent_says(desk, call_id)
    await will_hear(ears, {"caller": {"callee", "observer"}, "callee": {"caller", "observer"}})

    mode = f"/calls/{call_id}/mode"
    view = await desk.api.done("PUT", mode, {"mode": "whisper", "cut": True})
    assert (view["mode"], view["whispers_to"]) == ("whisper", ["callee"])
    await agent_says(desk, call_id)
    await will_hear(ears, {"caller": {"callee"}, "callee": {"caller", "observer"}})

    view = await desk.api.done("PUT", mode, {"mode": "whisper", "to": ["caller"], "cut": True})
    assert view["whispers_to"] == ["caller"]
    await agent_says(desk, call_id)
    await will_hear(ears, {"caller": {"callee", "observer"}, "callee": {"caller"}})

    view = await desk.api.done("PUT", mode, {"mode": "spy", "cut": True})
    assert view["mode"] == "spy"
    await agent_says(desk, call_id)
    await will_hear(ears, {"caller": {"callee"}, "callee": {"caller"}})

    assert await desk.refused("PUT", mode, {"mode": "whisper", "to": ["x"]}) == "BAD_ARGUMENT"
    assert await desk.refused("PUT", mode, {"mode": "barge"}, key="observer") == "FORBIDDEN"
    modes = [r for r in desk.api.client.audit.records if r.what.startswith(("spy", "whisper"))]
    assert {record.by for record in modes} == {"the-admin"}


async def test_the_agent_leaves_and_the_parties_talk_on(desk: Desk) -> None:
    call_id, caller, callee = await desk.own()
    before = await desk.api.done("GET", f"/calls/{call_id}")
    view = await desk.api.done("POST", f"/calls/{call_id}/leave", {})
    assert (view["own"], view["mode"], view["state"]) == (True, None, "CONNECTED")
    assert view["end_reason"] == "agent_left"
    assert view["revision"] > before["revision"]
    assert view["callee_number"] == "1002"
    await will_hear(
        {"caller": caller, "callee": callee}, {"caller": {"callee"}, "callee": {"caller"}}
    )
    for method, path, body in (
        ("POST", "/connect", {}),
        ("PUT", "/mode", {"mode": "spy"}),
        ("POST", "/leave", {}),
    ):
        assert await desk.refused(method, f"/calls/{call_id}{path}", body) == "CALL_CLOSED"
    await desk.api.done("DELETE", f"/calls/{call_id}")
    await caller.wait_closed()
    await callee.wait_closed()


async def test_a_call_that_is_left_before_anybody_came_is_over(desk: Desk) -> None:
    call_id, caller = await desk.incoming()
    view = await desk.api.done("POST", f"/calls/{call_id}/leave", {})
    assert (view["state"], view["end_reason"]) == ("DISCONNECTED", "agent_ended")
    await caller.wait_closed()


async def test_a_foreign_call_is_shown_observed_and_hung_up_and_nothing_else(desk: Desk) -> None:
    talk = await desk.floor.foreign_call()
    call = f"/calls/{talk.call_id}"
    view = await desk.api.done("GET", call)
    assert (view["own"], view["mode"], view["state"]) == (False, None, "CONNECTED")
    assert [party["name"] for party in view["parties"]] == ["caller", "callee"]
    for method, path, body in (
        ("POST", "/answer", None),
        ("POST", "/connect", {}),
        ("POST", "/leave", {}),
        ("PUT", "/mode", {"mode": "spy"}),
        ("POST", "/digits", {"max_digits": 1}),
        ("POST", "/announcements", {"sound": "sound:beep"}),
        ("PUT", "/music", {"music": ""}),
        ("POST", "/parties", {"to": "1003"}),
        ("PATCH", "/parties/caller", {"muted": True}),
        ("DELETE", "/parties/caller", None),
        ("POST", "/parking", {}),
        ("DELETE", "/parking", None),
        ("POST", "/transfers", {"to": [["1003"]]}),
        ("POST", "/recordings", {}),
    ):
        assert await desk.refused(method, call + path, body) == "NOT_SUPPORTED", path
    report = await desk.api.done("GET", f"{call}/audibility")
    assert {(p["listener"], p["speaker"]) for p in report["pairs"] if p["stands"]} == {
        ("caller", "callee"),
        ("callee", "caller"),
    }
    assert not report["differs"]
    assert await desk.refused("GET", call, key="foreign-supervisor") == "CALL_NOT_FOUND"
    assert await desk.refused("DELETE", call, key="foreign-supervisor") == "CALL_NOT_FOUND"
    await desk.api.done("DELETE", call)
    await talk.caller.wait_closed()
    await talk.callee.wait_closed()


async def test_calls_are_listed_by_what_is_asked_for(desk: Desk) -> None:
    own_id, _ = await desk.incoming()
    talk = await desk.floor.foreign_call()

    async def listed(**query: str) -> list[str]:
        return [
            one["call_id"] for one in (await desk.api.done("GET", "/calls", query=query))["items"]
        ]

    assert set(await listed()) == {own_id, talk.call_id}
    assert await listed(own="true") == [own_id]
    assert await listed(own="false") == [talk.call_id]
    assert await listed(state="PENDING") == [own_id]
    assert await listed(number="1002") == [own_id]
    assert await listed(endpoint="PJSIP/1009") == []
    assert await listed(tenant="acme") == []
    assert set(await listed(tenant="default")) == {own_id, talk.call_id}
    first = await desk.api.done("GET", "/calls", query={"limit": "1"})
    second = await desk.api.done("GET", "/calls", query={"limit": "1", "cursor": first["next"]})
    ids = [one["call_id"] for page in (first, second) for one in page["items"]]
    assert set(ids) == {own_id, talk.call_id}
    assert second["next"] is None
    foreign = await desk.api.done("GET", "/calls", key="foreign-admin")
    assert foreign["items"] == []


async def test_somebody_is_rung_and_somebody_for_him(desk: Desk) -> None:
    call, caller = await desk.picked_up(
        desk.api.done("POST", "/calls", {"to": DIRECT}, key="program"), "leg.caller", CALLER_TONE
    )
    assert (call["state"], call["originated"], call["tenant"]) == ("ANSWERED", True, "default")
    await desk.api.done("DELETE", f"/calls/{call['call_id']}")
    await caller.wait_closed()

    phone = await desk.pbx.phone("1002")
    both, caller = await desk.picked_up(
        desk.api.done("POST", "/calls", {"to": DIRECT, "connect": "1002"}), "leg.caller"
    )
    assert both["state"] == "CONNECTED"
    assert [party["endpoint"] for party in both["parties"]][1] == "PJSIP/1002"
    assert desk.api.service.dial_rules.live("default") == 2
    await caller.hangup()
    await phone.wait_state(PhoneState.DISCONNECTED)
    await until(lambda: desk.api.service.dial_rules.live("default") == 0, "no leg counts")
    record = await desk.api.done("GET", f"/history/{both['call_id']}")
    assert (record["direction"], record["callee_number"]) == ("outbound", "1002")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"to": "PJSIP/49@trunk"}, "DIAL_DENIED"),
        ({"to": "1002", "connect": "SIP/1002"}, "DIAL_DENIED"),
        ({"to": "10 02"}, "BAD_ARGUMENT"),
        ({"to": "1009"}, "CALL_UNREACHABLE"),
        ({"to": "1002", "program": "nobody"}, "NOT_FOUND"),
        ({"to": "1002", "caller_id": "two\nlines"}, "BAD_ARGUMENT"),
        ({"to": "1002", "headers": {"Via": "me"}}, "BAD_ARGUMENT"),
    ],
)
async def test_who_is_not_rung(desk: Desk, body: object, code: str) -> None:
    assert await desk.refused("POST", "/calls", body) == code
    assert (await desk.pbx.channels(), desk.api.service.dial_rules.live("default")) == ([], 0)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Behaviour.BUSY, "CALL_BUSY"),
        (Behaviour.DECLINE, "CALL_DECLINED"),
        (Behaviour.UNAVAILABLE, "CALL_UNANSWERED"),
    ],
)
async def test_who_does_not_want(desk: Desk, behaviour: Behaviour, code: str) -> None:
    await desk.pbx.phone("1003", answer=behaviour)
    assert await desk.refused("POST", "/calls", {"to": "1003"}) == code
    call_id, caller = await desk.incoming()
    connect = f"/calls/{call_id}/connect"
    assert await desk.refused("POST", connect, {"to": "1003"}) == code
    assert await desk.refused("POST", connect, {"to": "PJSIP/49@trunk"}) == "DIAL_DENIED"
    assert await desk.refused("POST", connect, {"to": ["1003", "x y"]}) == "BAD_ARGUMENT"
    await desk.api.done("POST", f"/calls/{call_id}/answer")
    assert await desk.refused("POST", f"/calls/{call_id}/parties", {"to": "1003"}) == code
    await caller.hangup()


async def test_a_caller_whose_callee_is_not_had_is_let_go(desk: Desk) -> None:
    await desk.pbx.phone("1003", answer=Behaviour.BUSY)
    reply, caller = await desk.picked_up(
        desk.refused("POST", "/calls", {"to": DIRECT, "connect": "1003"}), "leg.caller"
    )
    assert reply == "CALL_BUSY"
    await caller.wait_closed()
    await until(lambda: desk.api.service.dial_rules.live("default") == 0, "no leg counts")


async def test_keys_and_announcements(desk: Desk) -> None:
    phone = await desk.pbx.phone("1001")
    await phone.call("1002")
    call = await desk.floor.program.next_call()
    path = f"/calls/{call.call_id}"
    await desk.api.done("POST", f"{path}/answer")
    asked = {"max_digits": 2, "timeout_seconds": 5}
    collecting = asyncio.create_task(desk.api.done("POST", f"{path}/digits", asked))
    await until(lambda: bool(call._keypad.awaited), "keys are waited for")
    await phone.dtmf("42")
    assert await collecting == {"digits": "42", "ended_by": "complete"}
    said = await desk.api.done("POST", f"{path}/announcements", {"sound": "sound:beep"})
    assert said == {"complete": True}
    for body in ({}, {"sound": "sound:beep", "audio": "AAAA"}):
        assert await desk.refused("POST", f"{path}/announcements", body) == "BAD_ARGUMENT"
    gone = {"sound": "sound:beep", "to": "party9"}
    assert await desk.refused("POST", f"{path}/announcements", gone) == "INVALID_STATE"
    unknown = {"max_digits": 1, "speaker": "party9"}
    assert await desk.refused("POST", f"{path}/digits", unknown) == "BAD_ARGUMENT"
    view = await desk.api.done("PUT", f"{path}/music", {"music": "default"})
    assert view["call_id"] == call.call_id
    await phone.hangup()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/answer", None),
        ("POST", "/connect", {}),
        ("POST", "/leave", {}),
        ("PUT", "/mode", {"mode": "spy"}),
        ("POST", "/say", {"text": "hello"}),
        ("GET", "/audibility", None),
        ("GET", "/parties", None),
        ("POST", "/parking", {}),
        ("GET", "/observers", None),
        ("POST", "/observers", {}),
        ("GET", "/observers/boss", None),
        ("POST", "/transfers", {"to": [["1003"]]}),
        ("POST", "/recordings", {}),
    ],
)
async def test_a_call_that_never_was(desk: Desk, method: str, path: str, body: object) -> None:
    assert await desk.refused(method, f"/calls/{NOBODY}{path}", body) == "CALL_NOT_FOUND"
