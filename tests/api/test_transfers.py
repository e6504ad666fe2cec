"""Transfers, by the API, on a real Asterisk: begun, driven, counted, refused."""

from __future__ import annotations

import pytest

from bridge.lab.ears import DirectParty
from bridge.lab.hearing import TONES
from bridge.lab.phones import Behaviour, Tone
from bridge.lab.waiting import until
from tests.api.desk import DIRECT, Desk
from tests.integration.supervision.floor import will_hear
from tests.support.pbx import SENT_DBFS, until_true

pytestmark = [pytest.mark.asterisk]

HUMAN_TONE = Tone(TONES["supervisor"], SENT_DBFS)


async def answered(desk: Desk) -> tuple[str, DirectParty]:
    """Let the agent talk with a caller."""
    call_id, caller = await desk.incoming()
    await desk.api.done("POST", f"/calls/{call_id}/answer")
    return call_id, caller


async def human_of(desk: Desk, call_id: str, body: dict[str, object]) -> tuple[str, DirectParty]:
    """Begin a transfer; return its path, and the human who has picked up."""
    started, human = await desk.picked_up(
        desk.api.done("POST", f"/calls/{call_id}/transfers", body), "leg.human", HUMAN_TONE
    )
    return f"/calls/{call_id}/transfers/{started['transfer_id']}", human


async def stage(desk: Desk, path: str, wanted: str) -> dict[str, object]:
    """Wait until a transfer is where it is to be; return it."""
    shown: dict[str, object] = {}

    async def look() -> bool:
        shown.update(await desk.api.done("GET", path))
        return wanted in {shown["stage"], shown["outcome"]}

    await until_true(look, f"the transfer is {wanted}")
    return shown


async def test_the_customer_is_handed_over_blind(desk: Desk) -> None:
    call_id, caller = await answered(desk)
    path, human = await human_of(desk, call_id, {"to": [[DIRECT]], "warm": False})
    shown = await stage(desk, path, "completed")
    assert shown["human"] is not None
    await will_hear(
        {"caller": caller, "supervisor": human},
        {"caller": {"supervisor"}, "supervisor": {"caller"}},
    )
    assert desk.api.service.dial_rules.live("default") == 1
    await human.hangup()
    await caller.wait_closed()
    await until(lambda: desk.api.service.dial_rules.live("default") == 0, "no leg counts")


async def test_a_warm_one_is_driven(desk: Desk) -> None:
    call_id, caller = await answered(desk)
    asked = {"to": [[DIRECT]], "accept": "answer", "consult": True, "by": "ai"}
    path, human = await human_of(desk, call_id, asked)
    await stage(desk, path, "consulting")
    again = {"to": [["1003"]]}
    assert await desk.refused("POST", f"/calls/{call_id}/transfers", again) == "COMMAND_IN_PROGRESS"
    view = await desk.api.done("GET", f"/calls/{call_id}")
    assert view["transfer"]["stage"] == "consulting"
    await will_hear({"caller": caller}, {"caller": set()})
    assert (await desk.api.done("POST", f"{path}/conference", {}))["stage"] == "together"
    await will_hear(
        {"caller": caller, "supervisor": human},
        {"caller": {"supervisor"}, "supervisor": {"caller"}},
    )
    done = await desk.api.done("POST", f"{path}/complete", {})
    assert done["outcome"] == "completed"
    assert await desk.refused("POST", f"{path}/cancel", {}) == "INVALID_STATE"
    await caller.hangup()
    await human.wait_closed()


async def test_one_is_cancelled(desk: Desk) -> None:
    await desk.pbx.phone("1003", answer=Behaviour.RING)
    call_id, caller = await answered(desk)
    started = await desk.api.done("POST", f"/calls/{call_id}/transfers", {"to": [["1003"]]})
    path = f"/calls/{call_id}/transfers/{started['transfer_id']}"
    assert (started["outcome"], started["human"]) == (None, None)
    assert desk.api.service.dial_rules.live("default") == 1
    done = await desk.api.done("POST", f"{path}/cancel", {})
    assert done["outcome"] == "cancelled"
    await until(lambda: desk.api.service.dial_rules.live("default") == 0, "no leg counts")
    assert (await desk.api.done("GET", f"/calls/{call_id}"))["state"] == "ANSWERED"
    assert not caller.closed


async def test_nobody_is_had(desk: Desk) -> None:
    await desk.pbx.phone("1003", answer=Behaviour.BUSY)
    call_id, _ = await answered(desk)
    asked = {"to": [["1003"], ["1009"]]}
    started = await desk.api.done("POST", f"/calls/{call_id}/transfers", asked)
    path = f"/calls/{call_id}/transfers/{started['transfer_id']}"
    shown = await stage(desk, path, "failed")
    assert shown["error_code"] == "CALL_UNREACHABLE"
    await until(lambda: desk.api.service.dial_rules.live("default") == 0, "no leg counts")


async def test_what_is_refused(desk: Desk) -> None:
    call_id, _ = await desk.incoming()
    path = f"/calls/{call_id}/transfers"
    assert await desk.refused("POST", path, {"to": [["1003"]]}) == "INVALID_STATE"
    await desk.api.done("POST", f"/calls/{call_id}/answer")
    for body, code in (
        ({"to": [["1003", "PJSIP/1@trunk"]]}, "DIAL_DENIED"),
        ({"to": [[]]}, "BAD_ARGUMENT"),
        ({"to": [["1003"]], "by": "nobody"}, "BAD_ARGUMENT"),
        ({"to": [["1003"]], "brief": "sound:beep", "brief_audio": "AAAA"}, "BAD_ARGUMENT"),
        ({"to": [["1003"]], "accept_key": "1", "decline_key": "1"}, "BAD_ARGUMENT"),
    ):
        assert await desk.refused("POST", path, body) == code, body
    assert await desk.refused("GET", f"{path}/none") == "NOT_FOUND"
    assert await desk.refused("POST", f"{path}/none/cancel", {}) == "NOT_FOUND"
    assert await desk.refused("POST", f"{path}/none/cancel", {}, key="observer") == "FORBIDDEN"
    await until(lambda: desk.api.service.dial_rules.live("default") == 0, "no leg counts")
