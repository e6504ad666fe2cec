"""Several phones ring together: the first to be picked up has the caller, the others are let go."""

from __future__ import annotations

import asyncio

import pytest

from bridge import ActiveCall, CallState
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.model.errors import ConnectFailedError, ErrorCode
from bridge.session import Phase
from tests.support.conference import AGENT, Conference, everyone
from tests.support.pbx import CALLEE_TONE, DirectCall, Pbx, state_of, until_true

pytestmark = pytest.mark.asterisk

NOBODY = "PJSIP/1777"
BOTH = [CALLEE_ENDPOINT, CALLEE_ENDPOINT]


async def legs(pbx: Pbx, call: ActiveCall, count: int) -> list[str]:
    """Wait until so many phones of the group ring; return their channels, in their order."""
    found: list[str] = []

    async def ringing() -> bool:
        channels = await pbx.channels()
        found[:] = sorted(i for i in channels if f"{call.call_id}-leg.callee_" in i)
        return len(found) == count

    await until_true(ringing, f"{count} ring")
    return found


async def picked_up(pbx: Pbx, channel_id: str) -> DirectParty:
    making = DirectParty.answer(pbx.instance.info.ari, channel_id, tone=CALLEE_TONE)
    return await pbx.keep(making)


@pytest.mark.parametrize("winner", [0, 1])
@pytest.mark.parametrize("answered", [True, False])
async def test_the_first_has_it(pbx: Pbx, winner: int, *, answered: bool) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    if answered:
        await call.answer()
    connecting = asyncio.create_task(call.connect(BOTH))
    try:
        ringing = await legs(pbx, call, 2)
        callee = await picked_up(pbx, ringing[winner])
        await connecting
    finally:
        connecting.cancel()
    assert state_of(call) is CallState.CONNECTED
    assert {party.name for party in call.parties} == {"caller", "callee"}
    assert await legs(pbx, call, 1) == [ringing[winner]]
    conference = Conference(pbx, call, {"caller": direct.caller, "callee": callee})
    await conference.speak()
    await conference.hears(everyone("caller", "callee", AGENT))
    await callee.hangup()
    await direct.caller.wait_closed()


async def test_one_is_not_there(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    connecting = asyncio.create_task(direct.call.connect([NOBODY, CALLEE_ENDPOINT]))
    try:
        callee = await picked_up(pbx, (await legs(pbx, direct.call, 1))[0])
        await connecting
    finally:
        connecting.cancel()
    conference = Conference(pbx, direct.call, {"caller": direct.caller, "callee": callee})
    await conference.parties_hear(everyone("caller", "callee"))


@pytest.mark.parametrize(
    ("group", "seconds", "code"),
    [
        ([NOBODY, NOBODY], 5, ErrorCode.CALL_UNREACHABLE),
        (BOTH, 1, ErrorCode.CALL_UNANSWERED),
        ([NOBODY, CALLEE_ENDPOINT], 1, ErrorCode.CALL_UNANSWERED),
    ],
)
async def test_nobody_is_had(pbx: Pbx, group: list[str], seconds: int, code: ErrorCode) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    await call.answer()
    with pytest.raises(ConnectFailedError) as raised:
        await call.connect(group, ring_time_seconds=seconds)
    assert raised.value.error_code is code
    assert state_of(call) is CallState.ANSWERED
    assert await legs(pbx, call, 0) == []
    people = {"caller": direct.caller, "callee": await direct.connect()}
    conference = Conference(pbx, call, people)
    await conference.speak()
    await conference.hears(everyone("caller", "callee", AGENT))


@pytest.mark.parametrize("who", ["the caller", "the agent"])
async def test_somebody_ends_it_while_it_rings(pbx: Pbx, who: str) -> None:
    direct: DirectCall = await pbx.direct_call()
    call = direct.call
    await call.answer()
    connecting = asyncio.create_task(call.connect(BOTH))
    await legs(pbx, call, 2)
    if who == "the caller":
        await direct.caller.hangup()
    else:
        await call.disconnect(cut=True)
    await asyncio.wait({connecting})
    assert connecting.exception() is not None
    await pbx.empty()
    assert pbx.session(call).phase is Phase.DISCONNECTED
