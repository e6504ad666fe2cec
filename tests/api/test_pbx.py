"""The PBX beside the calls, by the API."""

from __future__ import annotations

import pytest

from tests.api.desk import Desk

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


async def test_phones_and_trunks(desk: Desk) -> None:
    await desk.pbx.phone("1002")
    listed = (await desk.api.done("GET", "/endpoints"))["items"]
    by_name = {one["endpoint"]: one for one in listed}
    assert list(by_name) == sorted(by_name)
    assert by_name["PJSIP/1002"]["state"] == "online"
    assert await desk.api.done("GET", "/endpoints/PJSIP/1002") == by_name["PJSIP/1002"]
    first = await desk.api.done("GET", "/endpoints", query={"limit": "2"})
    rest = await desk.api.done("GET", "/endpoints", query={"cursor": first["next"]})
    assert [*first["items"], *rest["items"]] == listed
    for missing in ("PJSIP/5555", "Nonsense/1002", "PJSIP/..", "PJSIP/%2E%2E%2Fx", "..%2Fa/1002"):
        reply = await desk.api.ask("GET", f"/endpoints/{missing}")
        assert (reply.status, reply.code) == (404, "NOT_FOUND"), missing
    assert await desk.refused("GET", "/endpoints", key="supervisor") == "FORBIDDEN"


async def test_channels(desk: Desk) -> None:
    assert (await desk.api.done("GET", "/channels"))["items"] == []
    talk = await desk.floor.foreign_call()
    listed = (await desk.api.done("GET", "/channels"))["items"]
    assert {one["channel_id"]: one["call_id"] for one in listed} == {
        talk.caller.channel_id: talk.call_id,
        talk.callee.channel_id: talk.call_id,
    }
    assert {one["state"] for one in listed} == {"Up"}
    await talk.over()


async def test_what_the_server_can_do(desk: Desk) -> None:
    shown = await desk.api.done("GET", "/capabilities", key="observer")
    assert shown["version"].startswith("22.")
    assert (shown["sample_rate"], shown["snoop"]) == (16000, True)
