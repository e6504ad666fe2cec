"""An observer by URL stays as long as his program, silent or not, and no longer."""

from __future__ import annotations

import pytest

from bridge.lab.waiting import until
from tests.support.child import child
from tests.support.remote import RemotePbx

pytestmark = pytest.mark.asterisk


async def test_he_leaves_when_his_program_is_killed(pbx: RemotePbx) -> None:
    direct = await pbx.direct_call()
    await direct.call.answer()
    api, call_id = await pbx.daemon(), direct.call.call_id
    attendance = api.service.views.attendance
    attendance.seconds = 2.0

    def names() -> list[str]:
        return [one.name for one in api.service.views.observers(call_id)]

    arguments = api.url, api.keys["supervisor"], call_id
    async with child(pbx, "tests.integration.remote.onlooker", *arguments) as program:
        await until(lambda: attendance.attending, "his program attends")
        attendance.seconds = 0.2
        await api.done("POST", f"/calls/{call_id}/observers", {"name": "nobody"})
        await until(lambda: names() == ["onlooker"], "he stays, though he says and hears nothing")
        await program.die()
        await until(lambda: names() == [], "he leaves")
    await direct.call.disconnect()
    await direct.caller.wait_closed()
