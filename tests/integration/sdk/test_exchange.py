"""The PBX beside the program's own calls: any call is hung up, phones and channels are listed."""

from __future__ import annotations

import time

import pytest

from bridge import EndReason
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError, CallNotFoundError
from tests.support.pbx import DirectCall, Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


async def test_a_foreign_call_is_hung_up(pbx: Pbx) -> None:
    client = (await pbx.program()).client
    caller, callee = await pbx.phone("1003"), await pbx.phone("1004")
    await caller.call("91004")
    await callee.wait_state(PhoneState.CONFIRMED)
    (call,) = await client.live_calls()
    assert not call.own
    await client.hang_up("1003")
    await caller.wait_state(PhoneState.DISCONNECTED)
    await callee.wait_state(PhoneState.DISCONNECTED)
    assert [(r.call_id, r.what, r.result) for r in client.audit.records] == [
        (call.call_id, "hang up all", "done")
    ]
    with pytest.raises(CallNotFoundError):
        await client.hang_up(call.call_id)


async def test_an_own_call_is_hung_up_before_it_is_answered(pbx: Pbx) -> None:
    program, phone = await pbx.program(), await pbx.phone("1001")
    await phone.call("1002")
    call = await program.next_call()
    await program.client.hang_up(call.call_id)
    assert await call.wait_ended() is EndReason.AGENT_ENDED
    await phone.wait_state(PhoneState.DISCONNECTED)


async def test_a_call_that_the_agent_left_is_hung_up(pbx: Pbx) -> None:
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    info = pbx.instance.info.ari
    caller = await pbx.keep(DirectParty.call(info, "1002", tone=None))
    direct = DirectCall(pbx, await program.next_call(), caller)
    callee = await direct.connect()
    await direct.call.close()
    await program.client.hang_up(direct.call.call_id)
    await caller.wait_closed()
    await callee.wait_closed()


async def test_phones_and_trunks(pbx: Pbx) -> None:
    client = (await pbx.program()).client
    phone = await pbx.phone("1002")
    found = {one.endpoint: one for one in await client.endpoints()}
    assert list(found) == sorted(found)
    assert found["PJSIP/1002"].state == "online"
    assert found["PJSIP/1009"].state != "online"
    assert await client.endpoint("PJSIP/1009") == found["PJSIP/1009"]
    assert await client.endpoint("PJSIP/5555") is None
    assert await client.endpoint("Nonsense/5555") is None
    with pytest.raises(BadArgumentError):
        await client.endpoint("1002")
    call = await client.originate("1002")
    endpoint = await client.endpoint("PJSIP/1002")
    assert endpoint is not None
    assert len(endpoint.channels) == 1
    await call.disconnect()
    await phone.wait_state(PhoneState.DISCONNECTED)


async def test_channels(pbx: Pbx) -> None:
    client, phone = (await pbx.program()).client, await pbx.phone("1002")
    assert await client.channels() == ()
    call = await client.originate("1002")
    await until(lambda: bool(call.parties), "there is the caller")
    channels = await client.channels()
    (his,) = [one for one in channels if one.name.startswith("PJSIP/1002-")]
    assert (his.state, his.call_id) == ("Up", call.call_id)
    assert abs(his.created - time.time()) < 60
    assert {one.call_id for one in channels if one is not his} == {None}
    await client.hang_up(call.call_id)
    await phone.wait_state(PhoneState.DISCONNECTED)
