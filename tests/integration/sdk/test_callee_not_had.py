"""The callee cannot be had: a typed error says why, and the call is as it was before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge import ActiveCall, CallState, events
from bridge.lab.ears import DirectParty
from bridge.lab.phones import Behaviour
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.waiting import until
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    ConnectFailedError,
    ErrorCode,
)
from tests.support.pbx import CALLER_TONE, Pbx, Program, state_of

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

BEHAVIOURS = {
    Behaviour.BUSY: (ErrorCode.CALL_BUSY, 17),
    Behaviour.DECLINE: (ErrorCode.CALL_DECLINED, 21),
    Behaviour.UNAVAILABLE: (ErrorCode.CALL_UNANSWERED, 19),
    Behaviour.NO_ANSWER: (ErrorCode.CALL_UNANSWERED, 19),
}


class Target:
    """Whom the program's route names."""

    number: str = "1002"

    async def __call__(self, _call: ActiveCall) -> str:
        return self.number


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
async def program(pbx: Pbx, target: Target) -> Program:
    return await pbx.program(route=target)


@pytest.fixture(params=[CallState.PENDING, CallState.ANSWERED])
async def call(
    pbx: Pbx, program: Program, request: pytest.FixtureRequest
) -> AsyncIterator[ActiveCall]:
    await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
    call = await program.next_call()
    if request.param is CallState.ANSWERED:
        await call.answer()
    yield call
    await call.disconnect()


async def refused(call: ActiveCall, ring_time_seconds: int = 60) -> ConnectFailedError:
    before = state_of(call)
    told: list[ActiveCall] = []
    call.on(events.CALL_CONNECT_FAILED, told.append)
    with pytest.raises(ConnectFailedError) as caught:
        await call.connect(ring_time_seconds=ring_time_seconds)
    await until(lambda: told == [call], "CALL_CONNECT_FAILED")
    assert state_of(call) is before
    return caught.value


async def then_it_connects(pbx: Pbx, call: ActiveCall) -> None:
    phone = await pbx.phone("1003")
    await call.connect("1003")
    assert state_of(call) is CallState.CONNECTED
    await phone.wait_state(PhoneState.CONFIRMED)


@pytest.mark.parametrize("behaviour", list(BEHAVIOURS))
async def test_a_callee_who_does_not_want(pbx: Pbx, call: ActiveCall, behaviour: Behaviour) -> None:
    code, cause = BEHAVIOURS[behaviour]
    phone = await pbx.phone("1002", answer=behaviour)
    error = await refused(call, ring_time_seconds=1)
    assert (error.error_code, error.hangup_cause) == (code, cause)
    await phone.wait_state(PhoneState.DISCONNECTED)
    await then_it_connects(pbx, call)


@pytest.mark.parametrize("number", ["1009", "5555"], ids=["not registered", "unknown"])
async def test_a_callee_who_is_not_there(
    pbx: Pbx, call: ActiveCall, target: Target, number: str
) -> None:
    target.number = number
    assert (await refused(call)).error_code is ErrorCode.CALL_UNREACHABLE
    await then_it_connects(pbx, call)


@pytest.mark.parametrize("number", ["", "10 02", "1002&PJSIP/1003", "PJSIP/1002&PJSIP/1003"])
async def test_a_route_that_names_no_number(
    pbx: Pbx, call: ActiveCall, target: Target, number: str
) -> None:
    before = state_of(call)
    target.number = number
    with pytest.raises(BadArgumentError):
        await call.connect()
    assert state_of(call) is before
    assert not [i for i in await pbx.channels() if "leg.callee" in i]


async def test_a_route_that_raises(pbx: Pbx) -> None:
    def route(_call: ActiveCall) -> str:
        raise LookupError("no such customer")

    program = await pbx.program(route=route)
    await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
    call = await program.next_call()
    with pytest.raises(LookupError, match="no such customer"):
        await call.connect()
    assert state_of(call) is CallState.PENDING
    await then_it_connects(pbx, call)
    await call.disconnect()


async def test_a_callee_who_rings_is_given_up_by_disconnect(pbx: Pbx, call: ActiveCall) -> None:
    phone = await pbx.phone("1002", answer=Behaviour.RING)
    connecting = asyncio.create_task(call.connect())
    await phone.wait_state(PhoneState.EARLY)
    await call.disconnect()
    with pytest.raises(CallClosedError, match="ended the call"):
        await connecting
    await phone.wait_state(PhoneState.DISCONNECTED)
