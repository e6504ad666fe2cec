"""Somebody hangs up, in every state: the call ends once, for everybody, and leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from bridge import ActiveCall, CallState, EndReason, events
from bridge.lab.ears import DirectParty
from bridge.lab.phones import Behaviour
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.waiting import until
from bridge.model.errors import CallClosedError, CallerGoneError, InvalidStateError
from tests.support.pbx import DirectCall, Pbx, state_of

pytestmark = pytest.mark.asterisk

FIVE_SECONDS = bytes(5 * 16000 * 2)


class Ends:
    """Counts the ends that a program is told of."""

    def __init__(self, call: ActiveCall) -> None:
        self._call = call
        self._told = 0
        call.on(events.CALL_TERMINATED, self._tell)

    def _tell(self) -> None:
        self._told += 1

    async def once(self, reason: EndReason) -> None:
        async with asyncio.timeout(10):
            assert await self._call.wait_ended() is reason
        await until(lambda: self._told, "CALL_TERMINATED")
        assert state_of(self._call) is CallState.DISCONNECTED
        with pytest.raises(CallClosedError):
            await self._call.send_audio(FIVE_SECONDS)
        await self._call.close()
        await self._call.disconnect()
        assert self._told == 1


async def connected(pbx: Pbx) -> tuple[DirectCall, DirectParty]:
    direct = await pbx.direct_call()
    await direct.call.answer()
    return direct, await direct.connect()


Mode = Callable[[ActiveCall], Awaitable[None]]

MODES: dict[str, Mode] = {
    "spy": lambda call: call.spy(),
    "whisper to callee": lambda call: call.whisper(),
    "whisper to caller": lambda call: call.whisper(to="caller"),
    "barge": lambda call: call.barge(),
}


@pytest.mark.phones
async def test_caller_while_his_phone_rings(pbx: Pbx) -> None:
    program = await pbx.program()
    caller = await pbx.phone("1001")
    await caller.call("1002")
    call = await program.next_call()
    ends = Ends(call)
    await caller.hangup()
    await ends.once(EndReason.CALLER_HUNG_UP)
    with pytest.raises(CallClosedError):
        await call.answer()


async def test_caller_while_he_is_answered(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    ends = Ends(direct.call)
    answering = asyncio.create_task(direct.call.answer())
    # The commands of both are on their way at once; Asterisk does the one that it gets first.
    await direct.caller.hangup()
    outcome = (await asyncio.gather(answering, return_exceptions=True))[0]
    assert outcome is None or isinstance(outcome, CallerGoneError | CallClosedError)
    await ends.once(EndReason.CALLER_HUNG_UP)


async def test_caller_while_answered_with_audio_queued(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    ends = Ends(call)
    await call.answer()
    stream = call.audio_stream()
    await call.send_audio(FIVE_SECONDS)
    await direct.caller.hangup()
    await ends.once(EndReason.CALLER_HUNG_UP)
    assert call.get_send_audio_buffer_size() == 0
    async with asyncio.timeout(5):
        async for _ in stream:
            pass


@pytest.mark.parametrize("answered", [False, True], ids=["from PENDING", "from ANSWERED"])
@pytest.mark.phones
async def test_caller_while_the_callee_rings(pbx: Pbx, answered: bool) -> None:  # noqa: FBT001 - a parameter of the test
    direct = await pbx.direct_call()
    call = direct.call
    ends = Ends(call)
    phone = await pbx.phone("1003", answer=Behaviour.RING)
    if answered:
        await call.answer()
    connecting = asyncio.create_task(call.connect("1003"))
    await phone.wait_state(PhoneState.EARLY)
    await direct.caller.hangup()
    with pytest.raises(CallerGoneError):
        await connecting
    await ends.once(EndReason.CALLER_HUNG_UP)
    await phone.wait_state(PhoneState.DISCONNECTED)


@pytest.mark.parametrize("answered", [False, True], ids=["from PENDING", "from ANSWERED"])
async def test_caller_just_as_the_callee_answers(pbx: Pbx, answered: bool) -> None:  # noqa: FBT001 - a parameter of the test
    direct = await pbx.direct_call()
    call = direct.call
    ends = Ends(call)
    if answered:
        await call.answer()
    connecting = asyncio.create_task(call.connect())
    leg = await pbx.callee_leg(call)
    ari = pbx.instance.info.ari
    callee = pbx.keep(DirectParty.answer(ari, leg, tone=None))
    outcomes = await asyncio.gather(callee, direct.caller.hangup(), return_exceptions=True)
    with contextlib.suppress(CallerGoneError):
        await connecting
    await ends.once(EndReason.CALLER_HUNG_UP)
    if isinstance(party := outcomes[0], DirectParty):
        await party.wait_closed()


@pytest.mark.parametrize("party", ["caller", "callee"])
@pytest.mark.parametrize("mode", list(MODES))
async def test_a_party_in_every_mode(pbx: Pbx, mode: str, party: str) -> None:
    direct, callee = await connected(pbx)
    call = direct.call
    ends = Ends(call)
    await MODES[mode](call)
    gone, left = (direct.caller, callee) if party == "caller" else (callee, direct.caller)
    await gone.hangup()
    caller_left = party == "caller"
    await ends.once(EndReason.CALLER_HUNG_UP if caller_left else EndReason.CALLEE_HUNG_UP)
    await left.wait_closed()
    with pytest.raises(CallClosedError):
        await call.whisper()


@pytest.mark.parametrize("party", ["caller", "callee"])
async def test_a_party_while_a_whisper_is_queued(pbx: Pbx, party: str) -> None:
    direct, callee = await connected(pbx)
    call = direct.call
    ends = Ends(call)
    await call.whisper()
    await call.send_audio(FIVE_SECONDS)
    turning = asyncio.create_task(call.spy())
    await until(lambda: pbx.session(call).turnings, "spy() is under way")
    gone, left = (direct.caller, callee) if party == "caller" else (callee, direct.caller)
    await gone.hangup()
    with pytest.raises(CallClosedError):
        await turning
    caller_left = party == "caller"
    await ends.once(EndReason.CALLER_HUNG_UP if caller_left else EndReason.CALLEE_HUNG_UP)
    await left.wait_closed()
    assert call.get_send_audio_buffer_size() == 0


@pytest.mark.parametrize("party", ["caller", "callee"])
async def test_a_party_during_close(pbx: Pbx, party: str) -> None:
    direct, callee = await connected(pbx)
    call = direct.call
    ends = Ends(call)
    await call.send_audio(FIVE_SECONDS)
    closing = asyncio.create_task(call.close())
    await until(lambda: not pbx.session(call).takes_audio, "close() is under way")
    with pytest.raises(CallClosedError):
        await call.send_audio(FIVE_SECONDS)
    gone, left = (direct.caller, callee) if party == "caller" else (callee, direct.caller)
    await gone.hangup()
    await closing
    caller_left = party == "caller"
    await ends.once(EndReason.CALLER_HUNG_UP if caller_left else EndReason.CALLEE_HUNG_UP)
    await left.wait_closed()


@pytest.mark.parametrize("party", ["caller", "callee"])
async def test_a_party_after_close(pbx: Pbx, party: str) -> None:
    direct, callee = await connected(pbx)
    call = direct.call
    ends = Ends(call)
    await call.close()
    await ends.once(EndReason.AGENT_LEFT)
    gone, left = (direct.caller, callee) if party == "caller" else (callee, direct.caller)
    assert not left.closed
    await gone.hangup()
    await left.wait_closed()
    await pbx.empty()
    await ends.once(EndReason.AGENT_LEFT)


async def test_callee_just_as_he_answers(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    await call.answer()
    ends = Ends(call)
    connecting = asyncio.create_task(call.connect())
    leg = await pbx.callee_leg(call)
    callee = await DirectParty.answer(pbx.instance.info.ari, leg, tone=None)
    await callee.hangup()
    outcome = (await asyncio.gather(connecting, return_exceptions=True))[0]
    if outcome is None:
        await ends.once(EndReason.CALLEE_HUNG_UP)
    else:
        assert getattr(outcome, "error_code", None) == "CALL_FAILED"
        assert state_of(call) is CallState.ANSWERED
        assert not direct.caller.closed
        await direct.connect()
        await call.disconnect()


async def test_everybody_at_once(pbx: Pbx) -> None:
    direct, callee = await connected(pbx)
    ends = Ends(direct.call)
    await asyncio.gather(
        direct.caller.hangup(), callee.hangup(), direct.call.disconnect(), direct.call.close()
    )
    reason = direct.call.end_reason
    assert reason in {EndReason.AGENT_ENDED, EndReason.CALLER_HUNG_UP, EndReason.CALLEE_HUNG_UP}
    await ends.once(reason)


async def test_a_mode_after_the_end_of_an_unanswered_call(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    with pytest.raises(InvalidStateError):
        await direct.call.send_audio(FIVE_SECONDS)
    await direct.call.disconnect()
    with pytest.raises(CallClosedError):
        await direct.call.whisper()
    stream = direct.call.audio_stream()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await direct.caller.wait_closed()
    assert direct.call.end_reason is EndReason.AGENT_ENDED
