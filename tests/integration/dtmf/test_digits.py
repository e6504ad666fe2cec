"""Keys of real phones: collected by a program, and told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from bridge.lab.phones import CallState, Phone
from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError, CallClosedError, CommandInProgressError
from bridge.sdk import ActiveCall, events
from bridge.session.digits import Digits, EndedBy
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

_T = TypeVar("_T")


async def answered(pbx: Pbx) -> tuple[Phone, ActiveCall]:
    """Have a phone talk with a program."""
    program = await pbx.program()
    phone = await pbx.phone("1001")
    await phone.call("1002")
    call = await program.next_call()
    await call.answer()
    await phone.wait_state(CallState.CONFIRMED)
    return phone, call


async def begun(work: Awaitable[_T]) -> asyncio.Task[_T]:
    """Begin something, and let it come to where it waits."""
    task = asyncio.ensure_future(work)
    assert isinstance(task, asyncio.Task)
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("by_info", [False, True], ids=["RFC 4733", "SIP INFO"])
async def test_up_to_the_terminator(
    pbx: Pbx, caplog: pytest.LogCaptureFixture, *, by_info: bool
) -> None:
    caplog.set_level(logging.INFO)
    phone, call = await answered(pbx)
    pressed: list[tuple[str, str]] = []
    call.on(events.DTMF_RECEIVED, lambda _call, name, key: pressed.append((name, key)))
    collecting = await begun(call.collect_digits(max_digits=8))
    await phone.dtmf("7351#", by_info=by_info)
    assert await collecting == Digits("7351", EndedBy.TERMINATOR)
    assert pressed == [("caller", key) for key in "7351#"]
    assert "7351" not in caplog.text
    assert "7351" not in repr(collecting.result())


async def test_up_to_as_many_as_wanted_and_the_rest_is_for_the_next(pbx: Pbx) -> None:
    phone, call = await answered(pbx)
    collecting = await begun(call.collect_digits(max_digits=2))
    await phone.dtmf("42")
    assert await collecting == Digits("42", EndedBy.COMPLETE)
    collecting = await begun(call.collect_digits(max_digits=2, between_seconds=0.6))
    await phone.dtmf("9")
    assert await collecting == Digits("9", EndedBy.TIMEOUT)
    assert await call.collect_digits(max_digits=2, timeout_seconds=0.1) == Digits(
        "", EndedBy.TIMEOUT
    )


async def test_what_cannot_be_collected(pbx: Pbx) -> None:
    _, call = await answered(pbx)
    with pytest.raises(BadArgumentError, match="one of caller"):
        await call.collect_digits(max_digits=1, speaker="callee")
    with pytest.raises(BadArgumentError, match="at least 1"):
        await call.collect_digits(max_digits=0)
    with pytest.raises(BadArgumentError, match="no phone has"):
        await call.collect_digits(max_digits=1, terminator="x")
    collecting = await begun(call.collect_digits(max_digits=1))
    with pytest.raises(CommandInProgressError):
        await call.collect_digits(max_digits=1)
    assert not collecting.done()
    await call.disconnect()
    with pytest.raises(CallClosedError):
        await collecting


async def test_the_caller_hangs_up(pbx: Pbx) -> None:
    phone, call = await answered(pbx)
    collecting = await begun(call.collect_digits(max_digits=4))
    await phone.dtmf("1")
    await phone.hangup()
    with pytest.raises(CallClosedError):
        await collecting
    await until(lambda: call.end_reason, "the call is over")
    with pytest.raises((CallClosedError, BadArgumentError)):
        await call.collect_digits(max_digits=4)
