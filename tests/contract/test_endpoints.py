"""Phones and trunks: the fake and the real server must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.contract.conftest import Desk


async def test_what_is_listed_is_there(desk: Desk) -> None:
    endpoints = desk.connection.endpoints
    listed = await endpoints.list()
    phones = {one.resource: one for one in listed if one.technology == "PJSIP"}
    assert {"1001", "1002"} <= phones.keys()
    assert phones["1001"].state == "offline"
    assert phones["1001"].channel_ids == ()
    for phone in phones.values():
        assert await endpoints.get(tech="PJSIP", resource=phone.resource) == phone
