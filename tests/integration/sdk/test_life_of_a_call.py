"""A call from ring to hang-up, on a real Asterisk."""

from __future__ import annotations

import pytest

from bridge import AudioMode, CallState, EndReason, errors
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.waiting import until
from tests.support.pbx import Pbx, mode_of, state_of

pytestmark = pytest.mark.asterisk


async def test_answer_connect_modes_and_close(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    assert state_of(call) is CallState.PENDING
    await call.answer()
    assert state_of(call) is CallState.ANSWERED
    callee = await direct.connect()
    assert state_of(call) is CallState.CONNECTED
    assert mode_of(call) == (AudioMode.BARGE, set())
    await call.whisper(to="caller")
    assert mode_of(call) == (AudioMode.WHISPER, {"caller"})
    await call.spy()
    assert mode_of(call) == (AudioMode.SPY, set())
    await call.close()
    assert call.end_reason is EndReason.AGENT_LEFT
    assert not direct.caller.closed
    assert not callee.closed
    await direct.caller.hangup()
    await callee.wait_closed()


async def test_phones_are_told_who_calls_and_whom_they_dialled(pbx: Pbx) -> None:
    program = await pbx.program()
    caller = await pbx.phone("1001")
    callee = await pbx.phone("1002")
    await caller.call("1002")
    call = await program.next_call()
    assert (call.caller_number, call.callee_number) == ("1001", "1002")
    await call.answer()
    await call.connect()
    await callee.wait_state(PhoneState.CONFIRMED)
    assert "1001" in callee.calls[-1].remote
    await call.disconnect()
    await until(lambda: caller.state is PhoneState.DISCONNECTED, "the caller is released")
    await until(lambda: callee.state is PhoneState.DISCONNECTED, "the callee is released")
    assert call.end_reason is EndReason.AGENT_ENDED


async def test_a_callee_who_is_not_registered_leaves_the_call_answered(pbx: Pbx) -> None:
    program = await pbx.program()
    caller = await pbx.phone("1001")
    await caller.call("1002")
    call = await program.next_call()
    await call.answer()
    with pytest.raises(errors.ConnectFailedError) as caught:
        await call.connect()
    assert caught.value.error_code == "CALL_UNREACHABLE"
    assert state_of(call) is CallState.ANSWERED
    await call.disconnect()
