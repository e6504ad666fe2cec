"""Two commands at once: one order, one outcome for each, nothing left over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from bridge import ActiveCall, AudioMode, CallState, EndReason, events
from bridge.lab.ears import DirectParty
from bridge.lab.waiting import until
from bridge.model.errors import (
    CallbridgeError,
    CallClosedError,
    CommandInProgressError,
)
from tests.support.pbx import Pbx, mode_of, state_of

pytestmark = pytest.mark.asterisk

SECOND = bytes(32000)


async def outcomes(*commands: Coroutine[Any, Any, None]) -> list[type[BaseException] | None]:
    """Start all at once; return what each raised."""
    results = await asyncio.gather(*commands, return_exceptions=True)
    unexpected = [r for r in results if r is not None and not isinstance(r, CallbridgeError)]
    assert not unexpected
    return [None if result is None else type(result) for result in results]


async def test_answer_twice(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    assert await outcomes(call.answer(), call.answer()) == [None, CommandInProgressError]
    assert state_of(call) is CallState.ANSWERED
    await call.send_audio(SECOND)


async def test_connect_twice(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    first = asyncio.create_task(direct.call.connect())
    second = asyncio.create_task(direct.call.connect())
    with pytest.raises(CommandInProgressError):
        await second
    first.cancel()
    # Cancelling the wait does not take the command back.
    told = asyncio.Event()
    direct.call.on(events.CALL_CONNECTED, told.set)
    leg = await pbx.callee_leg(direct.call)
    assert [i for i in await pbx.channels() if "leg.callee" in i] == [leg]
    await pbx.keep(DirectParty.answer(pbx.instance.info.ari, leg, tone=None))
    async with asyncio.timeout(10):
        await told.wait()
    assert state_of(direct.call) is CallState.CONNECTED


async def test_answer_and_connect(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    assert await outcomes(call.answer(), call.connect()) == [None, CommandInProgressError]
    assert state_of(call) is CallState.ANSWERED
    await direct.connect()
    assert state_of(call) is CallState.CONNECTED


async def test_answer_and_disconnect(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    assert await outcomes(call.answer(), call.disconnect()) == [CallClosedError, None]
    assert call.end_reason is EndReason.AGENT_ENDED
    await direct.caller.wait_closed()


async def test_disconnect_and_answer(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    assert await outcomes(call.disconnect(), call.answer()) == [None, CallClosedError]
    assert call.end_reason is EndReason.AGENT_ENDED


@pytest.mark.parametrize("answered", ["PENDING", "ANSWERED"])
@pytest.mark.parametrize("leave", ["close", "disconnect"])
async def test_connect_and_an_end(pbx: Pbx, leave: str, answered: str) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    if answered == "ANSWERED":
        await call.answer()
    end = call.close() if leave == "close" else call.disconnect()
    assert await outcomes(call.connect(), end) == [CallClosedError, None]
    assert call.end_reason is EndReason.AGENT_ENDED
    await direct.caller.wait_closed()


async def test_modes_keep_their_order(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    await direct.connect()
    seen: list[tuple[AudioMode, set[str]]] = []

    def note(changed: ActiveCall) -> None:
        seen.append(mode_of(changed))

    call.on(events.CALL_MODE_CHANGED, note)
    await asyncio.gather(call.spy(), call.whisper(), call.whisper(to="caller"), call.barge())
    assert mode_of(call) == (AudioMode.BARGE, set())
    await until(lambda: len(seen) == 4, "every change is told")
    await asyncio.gather(call.barge(), call.whisper(to="caller"), call.spy())
    assert mode_of(call) == (AudioMode.SPY, set())


async def test_close_and_disconnect(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    callee = await direct.connect()
    assert await outcomes(call.close(), call.disconnect()) == [None, None]
    assert call.end_reason is EndReason.AGENT_ENDED
    await callee.wait_closed()
    await direct.caller.wait_closed()


async def test_disconnect_after_close_does_not_undo_it(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    callee = await direct.connect()
    await call.close()
    assert await outcomes(call.disconnect(), call.close()) == [None, None]
    assert call.end_reason is EndReason.AGENT_LEFT
    frames = len(callee.frames)
    await callee.wait_frames(frames + 10)
    await callee.hangup()
    await direct.caller.wait_closed()


async def test_a_mode_and_a_hang_up(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    callee = await direct.connect()
    results, _ = await asyncio.gather(
        outcomes(call.whisper(), call.barge(), call.spy()), callee.hangup()
    )
    assert set(results) <= {None, CallClosedError}
    assert await call.wait_ended() is EndReason.CALLEE_HUNG_UP
    await direct.caller.wait_closed()


async def test_a_mode_and_the_end(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    await direct.connect()
    await call.send_audio(SECOND)
    results = await outcomes(call.whisper(), call.disconnect(cut=True))
    assert results[1] is None
    assert results[0] in {None, CallClosedError}
    assert call.end_reason is EndReason.AGENT_ENDED
