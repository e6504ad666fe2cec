"""Parties, by the API, on a real Asterisk: add, mute, hold, remove, park."""

from __future__ import annotations

import pytest

from bridge.lab.hearing import TONES
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.phones import Tone
from bridge.lab.waiting import until
from tests.api.desk import DIRECT, Desk
from tests.integration.supervision.floor import BOTH_HEAR, will_hear
from tests.support.pbx import SENT_DBFS

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

THIRD_TONE = Tone(TONES["supervisor"], SENT_DBFS)


async def test_a_third_one_comes_and_goes(desk: Desk) -> None:
    call_id, caller, callee = await desk.own()
    path = f"/calls/{call_id}/parties"
    party, third = await desk.picked_up(
        desk.api.done("POST", path, {"to": DIRECT, "name": "expert"}), "leg.expert", THIRD_TONE
    )
    assert (party["name"], party["joined"], party["muted"]) == ("expert", True, False)
    ears = {"caller": caller, "callee": callee, "supervisor": third}
    await will_hear(
        ears,
        {
            "caller": {"callee", "supervisor"},
            "callee": {"caller", "supervisor"},
            "supervisor": {"caller", "callee"},
        },
    )
    listed = await desk.api.done("GET", path)
    assert [one["name"] for one in listed["items"]] == ["caller", "callee", "expert"]
    assert desk.api.service.dial_rules.live("default") == 1
    assert await desk.refused("POST", path, {"to": DIRECT, "name": "expert"}) == "BAD_ARGUMENT"
    await desk.api.done("DELETE", f"{path}/expert")
    await third.wait_closed()
    assert await desk.refused("DELETE", f"{path}/expert") == "NOT_FOUND"
    await until(lambda: desk.api.service.dial_rules.live("default") == 0, "no leg counts")
    await will_hear({"caller": caller, "callee": callee}, BOTH_HEAR)


async def test_muted_and_held(desk: Desk) -> None:
    call_id, caller, callee = await desk.own()
    ears, path = {"caller": caller, "callee": callee}, f"/calls/{call_id}/parties"
    await will_hear(ears, BOTH_HEAR)
    party = await desk.api.done("PATCH", f"{path}/caller", {"muted": True})
    assert (party["muted"], party["held"]) == (True, False)
    await will_hear(ears, {"caller": {"callee"}, "callee": set()})
    party = await desk.api.done("PATCH", f"{path}/caller", {"muted": False})
    assert not party["muted"]
    await will_hear(ears, BOTH_HEAR)
    party = await desk.api.done("PATCH", f"{path}/caller", {"held": True, "music": "silence"})
    assert party["held"]
    await will_hear({"callee": callee}, {"callee": set()})
    party = await desk.api.done("PATCH", f"{path}/caller", {"held": False})
    assert not party["held"]
    await will_hear(ears, BOTH_HEAR)
    assert (await desk.api.done("PATCH", f"{path}/caller", {}))["name"] == "caller"
    assert await desk.refused("PATCH", f"{path}/nobody", {"muted": True}) == "NOT_FOUND"
    both = {"held": True, "announce": "sound:beep", "announce_audio": "AAAA"}
    assert await desk.refused("PATCH", f"{path}/caller", both) == "BAD_ARGUMENT"
    reply = await desk.refused("PATCH", f"{path}/caller", {"muted": True}, key="observer")
    assert reply == "FORBIDDEN"


async def test_parked_and_taken_back(desk: Desk) -> None:
    call_id, caller, callee = await desk.own()
    path = f"/calls/{call_id}/parking"
    assert (await desk.api.done("GET", "/parking"))["items"] == []
    assert await desk.refused("DELETE", path) == "INVALID_STATE"
    view = await desk.api.done("POST", path, {"timeout_seconds": 60})
    assert view["parked_in"] == "7101"
    assert view["parked_until"] is not None
    assert [p["parked"] for p in view["parties"]] == [True]
    await callee.wait_closed()
    (parked,) = (await desk.api.done("GET", "/parking"))["items"]
    assert (parked["slot"], parked["call_id"], parked["party"]) == ("7101", call_id, "caller")
    assert (await desk.api.done("GET", "/parking", key="foreign-admin"))["items"] == []
    assert await desk.refused("POST", path, {}) == "COMMAND_IN_PROGRESS"
    view = await desk.api.done("DELETE", path)
    assert (view["parked_in"], view["parked_until"]) == (None, None)
    assert not any(p["parked"] for p in view["parties"])
    assert not caller.closed


async def test_somebody_rings_for_a_phone(desk: Desk) -> None:
    call_id, _, _ = await desk.own()
    phone = await desk.pbx.phone("1005")
    body = {"to": "1005", "headers": {"X-Ticket": "17"}}
    party = await desk.api.done("POST", f"/calls/{call_id}/parties", body)
    assert (party["name"], party["endpoint"]) == ("party_1005", "PJSIP/1005")
    await phone.wait_state(PhoneState.CONFIRMED)
    assert phone.calls[0].header("X-Ticket") == "17"
    for wrong, code in (
        ({"to": "PJSIP/1@trunk"}, "DIAL_DENIED"),
        ({"to": "1009"}, "CALL_UNREACHABLE"),
        ({"to": "1005", "name": "ai"}, "BAD_ARGUMENT"),
    ):
        assert await desk.refused("POST", f"/calls/{call_id}/parties", wrong) == code
