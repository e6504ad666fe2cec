"""Integration: two phones call each other through plain Dial() of a real Asterisk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bridge.lab.phones import Behaviour, CallState, Direction, Tone
from bridge.model.errors import PhoneError

if TYPE_CHECKING:
    from .conftest import StartPhone

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

CALLEE = "91002"
"""9 and the second account's number: Dial(), no application."""


async def test_answer_and_hang_up_by_the_callee(phone: StartPhone) -> None:
    caller, callee = await phone(0), await phone(1)
    await caller.call(CALLEE)
    confirmed = await caller.wait_state(CallState.CONFIRMED)
    assert confirmed.direction is Direction.OUT
    assert confirmed.reached[0] is CallState.CALLING
    assert (await callee.wait_state(CallState.CONFIRMED)).direction is Direction.IN
    await callee.hangup()
    ended = await caller.wait_state(CallState.DISCONNECTED)
    assert ended.disconnect is not None
    assert ended.disconnect.code == 200
    assert len(caller.calls) == len(callee.calls) == 1


async def test_a_phone_calls_again_after_a_call(phone: StartPhone) -> None:
    caller, callee = await phone(0), await phone(1)
    for _ in range(2):
        await caller.call(CALLEE)
        await caller.wait_state(CallState.CONFIRMED)
        await caller.hangup()
        await callee.wait_state(CallState.DISCONNECTED)
    assert [call.state for call in callee.calls] == [CallState.DISCONNECTED] * 2


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [(Behaviour.BUSY, 486), (Behaviour.DECLINE, 603), (Behaviour.UNAVAILABLE, 480)],
)
async def test_refusals_reach_the_caller(
    phone: StartPhone, behaviour: Behaviour, code: int
) -> None:
    caller, callee = await phone(0), await phone(1, answer=behaviour)
    await caller.call(CALLEE)
    with pytest.raises(PhoneError, match="ended before it was confirmed"):
        await caller.wait_state(CallState.CONFIRMED)
    await callee.wait_state(CallState.DISCONNECTED)
    assert callee.last_disconnect is not None
    assert callee.last_disconnect.code == code
    assert caller.last_disconnect is not None
    assert caller.last_disconnect.code >= 400


async def test_no_answer_and_cancel(phone: StartPhone) -> None:
    caller, callee = await phone(0), await phone(1, answer=Behaviour.NO_ANSWER)
    await caller.call(CALLEE)
    await callee.wait_state(CallState.EARLY)
    await caller.wait_state(CallState.EARLY)
    with pytest.raises(PhoneError, match="ring for ever"):
        await callee.answer()
    assert callee.state is CallState.EARLY
    await caller.hangup()
    await callee.wait_state(CallState.DISCONNECTED)
    assert callee.last_disconnect is not None
    assert callee.last_disconnect.code == 487


async def test_a_ringing_phone_is_answered_by_hand(phone: StartPhone) -> None:
    caller, callee = await phone(0), await phone(1, answer=Behaviour.RING)
    await caller.call(CALLEE)
    await callee.wait_state(CallState.EARLY)
    await callee.answer()
    await caller.wait_state(CallState.CONFIRMED)
    with pytest.raises(PhoneError, match="nothing rings"):
        await callee.answer()


async def test_a_phone_answers_when_it_was_told_to(phone: StartPhone) -> None:
    caller, callee = await phone(0), await phone(1, answer_after_ms=600)
    # When it began to ring is told late by a machine that is busy.
    called = asyncio.get_running_loop().time()
    await caller.call(CALLEE)
    await callee.wait_state(CallState.EARLY)
    await callee.wait_state(CallState.CONFIRMED)
    assert asyncio.get_running_loop().time() - called > 0.6


async def test_a_phone_in_a_call_is_busy(phone: StartPhone) -> None:
    caller, callee, third = await phone(0), await phone(1), await phone(2)
    await caller.call(CALLEE)
    await caller.wait_state(CallState.CONFIRMED)
    await third.call(CALLEE)
    with pytest.raises(PhoneError, match="486"):
        await third.wait_state(CallState.CONFIRMED)
    assert callee.calls[0].state is CallState.CONFIRMED
    with pytest.raises(PhoneError, match="a call already"):
        await caller.call(CALLEE)


async def test_digits_arrive_both_ways(phone: StartPhone) -> None:
    caller = await phone(0, silence_suppression=True)
    callee = await phone(1, source=Tone(973.0))
    await caller.call(CALLEE)
    await caller.wait_state(CallState.CONFIRMED)
    await callee.dtmf("42#")
    await caller.wait_digits("42#")
    await caller.dtmf("*7")
    await callee.wait_digits("*7")
    assert (caller.digits, callee.digits) == ("42#", "*7")


async def test_events_tell_a_call_from_beginning_to_end(phone: StartPhone) -> None:
    caller = await phone(0)
    await phone(1)
    events = caller.events()
    await caller.call(CALLEE)
    await caller.wait_state(CallState.CONFIRMED)
    await caller.hangup()
    seen = []
    async for change in events:
        seen.append(change.state)
        if change.state is CallState.DISCONNECTED:
            break
    assert seen[0] is CallState.CALLING
    assert seen[-2:] == [CallState.CONFIRMED, CallState.DISCONNECTED]


async def test_commands_without_a_call_are_refused(phone: StartPhone) -> None:
    idle = await phone(0)
    for command in (idle.hangup(), idle.dtmf("1"), idle.hold(), idle.stats()):
        with pytest.raises(PhoneError, match="no call"):
            await command
    with pytest.raises(PhoneError, match="does not record"):
        await idle.record_position()
    with pytest.raises(PhoneError, match="it is idle"):
        await idle.wait_state(CallState.CONFIRMED, within_s=0.1)
