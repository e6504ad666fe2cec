"""What the keys of a phone do that was let observe by the API: no more than who let it may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.api.auth.tenancy import Tenancy, TenantRule
from bridge.lab.phones import Codec, Phone
from bridge.lab.waiting import until
from tests.api.desk import Desk, opened
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


@pytest.fixture
async def desk(pbx: Pbx, tmp_path: Path) -> AsyncIterator[Desk]:
    """Calls to 1002 are of acme, all others of default."""
    tenancy = Tenancy([TenantRule(tenant="acme", dialled="1002")])
    async with opened(pbx, tmp_path, tenancy=tenancy) as desk:
        yield desk


async def sit(desk: Desk, call_id: str, key: str) -> Phone:
    """Let somebody observe by his phone, as who has a key wants it."""
    phone = await desk.pbx.phone("1005", codec=Codec.L16_16000)
    await desk.api.done(
        "POST", f"/calls/{call_id}/observers", {"name": "boss", "phone": "1005"}, key=key
    )
    return phone


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return which keys were refused, in order."""
    words = [record.getMessage() for record in caplog.records]
    return [word for word in words if word.startswith("a supervisor: key for")]


async def refused(caplog: pytest.LogCaptureFixture, count: int) -> None:
    """Wait until so many keys were refused."""
    await until(lambda: len(refusals(caplog)) == count, "the key is refused")


async def shown(desk: Desk, call_id: str) -> dict[str, Any]:
    """Return the observer as he is now."""
    view: dict[str, Any] = await desk.api.done("GET", f"/calls/{call_id}/observers/boss")
    return view


async def test_who_may_only_listen_is_not_heard_by_his_keys(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    talk = await desk.floor.foreign_call()
    phone = await sit(desk, talk.call_id, "observer")
    for count, key in enumerate("56", start=1):
        await phone.dtmf(key)
        await refused(caplog, count)
        view = await shown(desk, talk.call_id)
        assert (view["mode"], view["whispers_to"]) == ("spy", [])
    await talk.over()


async def test_who_may_coach_is_heard_by_his_keys(desk: Desk) -> None:
    talk = await desk.floor.foreign_call()
    phone = await sit(desk, talk.call_id, "supervisor")
    observer = desk.api.service.views.observer(talk.call_id, "boss")
    assert observer is not None
    await phone.dtmf("6")
    await until(lambda: observer.mode == "barge", "he barges in")
    await talk.over()


async def test_no_key_leads_to_a_call_of_another_tenant(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    talk = await desk.floor.foreign_call()
    theirs, _, _ = await desk.own()
    assert (await desk.api.done("GET", f"/calls/{theirs}"))["tenant"] == "acme"
    phone = await sit(desk, talk.call_id, "supervisor")
    await phone.dtmf("*")
    await refused(caplog, 1)
    assert (await shown(desk, talk.call_id))["left"] is None
    mine = await desk.floor.foreign_call()
    await phone.dtmf("*")
    views = desk.api.service.views
    await until(lambda: views.observer(mine.call_id, "boss"), "he goes to the next of his tenant")
    for one in (talk, mine):
        await one.over()
