"""Integration: phones transfer calls that a real Asterisk has placed by plain Dial()."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.lab.phones import Behaviour, CallState
from bridge.model.errors import PhoneError

if TYPE_CHECKING:
    from bridge.lab.phones import Softphone

    from .conftest import StartPhone

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


async def talking(phone: StartPhone) -> tuple[Softphone, Softphone]:
    caller, callee = await phone(0), await phone(1)
    await caller.call("91002")
    await caller.wait_state(CallState.CONFIRMED)
    await callee.wait_state(CallState.CONFIRMED)
    return caller, callee


async def test_a_blind_transfer(phone: StartPhone) -> None:
    caller, callee = await talking(phone)
    third = await phone(2)
    await callee.transfer("91003")
    await third.wait_state(CallState.CONFIRMED)
    await callee.wait_state(CallState.DISCONNECTED)
    told = await callee.wait_transferred()
    assert (told.code, told.final) == (200, True)
    codes = [status.code for status in callee.transfer_told]
    assert codes[0] == 100
    assert codes == sorted(codes)
    await third.hangup()
    await caller.wait_state(CallState.DISCONNECTED)


async def test_a_transfer_that_is_not_to_be_told_of(phone: StartPhone) -> None:
    _, callee = await talking(phone)
    third = await phone(2)
    await callee.transfer("91003", headers=[("Refer-Sub", "false")])
    await third.wait_state(CallState.CONFIRMED)
    await callee.wait_state(CallState.DISCONNECTED)
    assert [(status.code, status.reason) for status in callee.transfer_told] == [(200, "Accepted")]
    await third.hangup()


async def test_the_headers_of_a_call_that_comes_in(phone: StartPhone) -> None:
    caller, callee = await talking(phone)
    invite = (await callee.wait_state(CallState.CONFIRMED)).header
    assert (invite("cseq") or "").endswith("INVITE")
    assert "1001" in (invite("From") or "")
    assert (await caller.wait_state(CallState.CONFIRMED)).headers == ()


async def test_an_attended_transfer_ends_both_calls_of_who_transfers(phone: StartPhone) -> None:
    caller, callee = await talking(phone)
    third = await phone(2)
    await callee.consult("91003")
    await callee.wait_state(CallState.CONFIRMED)
    assert [call.state for call in callee.calls] == [CallState.CONFIRMED] * 2
    await callee.complete_transfer()
    await callee.wait_state(CallState.DISCONNECTED)
    await caller.hangup()
    await third.wait_state(CallState.DISCONNECTED)
    assert [call.state for call in callee.calls] == [CallState.DISCONNECTED] * 2


async def test_after_a_consultation_the_first_call_is_the_current_one(phone: StartPhone) -> None:
    caller, callee = await talking(phone)
    await phone(2, answer=Behaviour.BUSY)
    await callee.consult("91003")
    await callee.wait_state(CallState.DISCONNECTED)
    await callee.unhold()
    await callee.hangup()
    await caller.wait_state(CallState.DISCONNECTED)


async def test_what_cannot_be(phone: StartPhone) -> None:
    alone = await phone(0)
    for command in (alone.transfer("91002"), alone.consult("91002")):
        with pytest.raises(PhoneError, match="has no call"):
            await command
    with pytest.raises(PhoneError, match="consult somebody first"):
        await alone.complete_transfer()
    await phone(1)
    await phone(2)
    await alone.call("91002")
    await alone.wait_state(CallState.CONFIRMED)
    await alone.consult("91003")
    with pytest.raises(PhoneError, match="consulted already"):
        await alone.consult("91004")
