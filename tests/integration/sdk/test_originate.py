"""A program calls somebody: he answers, or why not; nothing is left in any case."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bridge import ActiveCall, Client, EndReason, LiveCall
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, ToneMeter, level_dbfs, pcm_from_bytes, tone
from bridge.lab.phones import Behaviour, Tone
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.waiting import until
from bridge.model.errors import (
    BadArgumentError,
    ConnectFailedError,
    ErrorCode,
    InvalidStateError,
)
from bridge.model.states import CallState
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, Pbx, Program, state_of, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

RATE = 16000
AGENT_HZ = 1559.0
SENT = -15.0
BEHAVIOURS = {
    Behaviour.BUSY: (ErrorCode.CALL_BUSY, 17),
    Behaviour.DECLINE: (ErrorCode.CALL_DECLINED, 21),
    Behaviour.UNAVAILABLE: (ErrorCode.CALL_UNANSWERED, 19),
    Behaviour.NO_ANSWER: (ErrorCode.CALL_UNANSWERED, 19),
}


async def leg_of(pbx: Pbx, key: str = "leg.caller") -> str:
    """Wait until somebody is being rung; return his channel's id."""
    found: list[str] = []

    async def look() -> bool:
        found[:] = [i for i in await pbx.channels() if key in i]
        return bool(found)

    await until_true(look, f"{key} is rung")
    return found[0]


async def originated(
    pbx: Pbx, program: Program, voice: Tone | None = None
) -> tuple[ActiveCall, DirectParty]:
    ringing = asyncio.create_task(program.client.originate(CALLEE_ENDPOINT))
    leg = await leg_of(pbx)
    party = await pbx.keep(DirectParty.answer(pbx.instance.info.ari, leg, tone=voice))
    return await ringing, party


def hears(party: DirectParty, hz: float) -> bool:
    track = ToneMeter(RATE, hz, RATE // 50).track(party.pcm(), RATE // 100)
    return max(track, default=-120.0) > SENT - 4


async def test_he_and_the_agent_talk_at_once(pbx: Pbx) -> None:
    program = await pbx.program()
    call, party = await originated(pbx, program, CALLER_TONE)
    assert state_of(call) is CallState.ANSWERED
    assert call.originated
    assert [p.name for p in call.parties] == ["caller"]
    assert program.client.calls == (call,)
    ear = call.audio_stream()
    await call.send_audio(tone(AGENT_HZ, SENT, 0.5, RATE).astype("<i2").tobytes())
    await until(lambda: hears(party, AGENT_HZ), "he hears the agent")

    async def agent_hears_him() -> bool:
        frames = b"".join([await anext(ear) for _ in range(12)])
        return level_dbfs(pcm_from_bytes(frames), RATE, TONES["caller"]) > SENT - 6

    await until_true(agent_hears_him, "the agent hears him")
    assert program.calls.empty(), "there is no INCOMING_CALL for it"
    await call.disconnect()
    assert call.end_reason is EndReason.AGENT_ENDED
    await pbx.empty()


async def test_somebody_else_is_rung_for_him(pbx: Pbx) -> None:
    program = await pbx.program()
    call, caller = await originated(pbx, program, CALLER_TONE)
    connecting = asyncio.create_task(call.connect(CALLEE_ENDPOINT))
    leg = await pbx.callee_leg(call)
    callee = await pbx.keep(DirectParty.answer(pbx.instance.info.ari, leg, tone=CALLEE_TONE))
    await connecting
    await until(lambda: hears(caller, TONES["callee"]), "the caller hears the callee")
    await until(lambda: hears(callee, TONES["caller"]), "the callee hears the caller")
    await call.close()
    await caller.hangup()
    await callee.wait_closed()
    await pbx.empty()


async def test_a_phone_sees_who_calls(pbx: Pbx) -> None:
    program, phone = await pbx.program(), await pbx.phone("1002")
    call = await program.client.originate(
        "1002", caller_id="Front desk <4930>", headers={"X-Ticket": "17"}
    )
    await phone.wait_state(PhoneState.CONFIRMED)
    assert (call.caller_number, call.callee_number) == ("1002", "")
    assert [p.endpoint for p in call.parties] == ["PJSIP/1002"]
    assert "4930" in phone.calls[0].remote
    assert phone.calls[0].header("X-Ticket") == "17"
    await phone.hangup()
    assert await call.wait_ended() is EndReason.CALLER_HUNG_UP
    who = [(r.what, r.by, r.result) for r in program.client.audit.records]
    assert ("originate PJSIP/1002", "program", "done") in who


@pytest.mark.parametrize("behaviour", list(BEHAVIOURS))
async def test_who_does_not_want(pbx: Pbx, behaviour: Behaviour) -> None:
    program, phone = await pbx.program(), await pbx.phone("1002", answer=behaviour)
    with pytest.raises(ConnectFailedError) as caught:
        await program.client.originate("1002", ring_time_seconds=1)
    assert (caught.value.error_code, caught.value.hangup_cause) == BEHAVIOURS[behaviour]
    assert program.client.calls == ()
    assert str(caught.value) in [record.result for record in program.client.audit.records]
    await phone.wait_state(PhoneState.DISCONNECTED)
    await pbx.empty()


@pytest.mark.parametrize("to", ["1009", "5555", "Nonsense/1002"])
async def test_who_is_not_there(pbx: Pbx, to: str) -> None:
    program = await pbx.program()
    with pytest.raises(ConnectFailedError) as caught:
        await program.client.originate(to)
    assert caught.value.error_code is ErrorCode.CALL_UNREACHABLE
    assert program.client.calls == ()
    await pbx.empty()


@pytest.mark.parametrize(
    ("to", "how"),
    [
        ("10 02", {}),
        ("PJSIP/1002&PJSIP/1003", {}),
        ("1002", {"ring_time_seconds": 0}),
        ("1002", {"caller_id": "two\nlines"}),
        ("1002", {"caller_id": "a<b"}),
        ("1002", {"headers": {"Via": "me"}}),
    ],
)
async def test_what_means_nothing(pbx: Pbx, to: str, how: dict[str, object]) -> None:
    program = await pbx.program()
    with pytest.raises(BadArgumentError):
        await program.client.originate(to, **how)  # type: ignore[arg-type] # one of each kind
    assert await pbx.channels() == []


async def test_who_stops_waiting_hangs_up(pbx: Pbx) -> None:
    program, phone = await pbx.program(), await pbx.phone("1002", answer=Behaviour.RING)
    ringing = asyncio.create_task(program.client.originate("1002"))
    await phone.wait_state(PhoneState.EARLY)
    ringing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ringing
    await phone.wait_state(PhoneState.DISCONNECTED)
    await pbx.empty()


@pytest.mark.parametrize("how", [Client.disconnect, Client.hand_over])
async def test_a_client_that_leaves_hangs_up(
    pbx: Pbx, how: Callable[[Client], Awaitable[None]]
) -> None:
    program, phone = await pbx.program(), await pbx.phone("1002", answer=Behaviour.RING)
    client = program.client
    ringing = asyncio.create_task(client.originate("1002"))
    await phone.wait_state(PhoneState.EARLY)
    await how(client)
    with pytest.raises(InvalidStateError):
        await ringing
    await phone.wait_state(PhoneState.DISCONNECTED)
    await pbx.empty()


async def test_a_call_that_goes_on_is_taken_up(pbx: Pbx) -> None:
    """The caller's leg is of our making; the next program has the call as the one before had it."""
    first = await pbx.program()
    call, party = await originated(pbx, first, CALLER_TONE)
    await first.client.hand_over()
    resumed: asyncio.Queue[ActiveCall] = asyncio.Queue()
    ari = pbx.instance.info.ari
    second = Client(ari.url, ari.username, ari.password, sample_rate=RATE, probe=False)
    second.on("CALL_RESUMED", resumed.put_nowait)
    async with second:
        again = await asyncio.wait_for(resumed.get(), 5)
        assert (again.call_id, again.originated) == (call.call_id, True)
        assert [p.name for p in again.parties] == ["caller"]
        assert not party.closed
        await again.disconnect()
        await party.wait_closed()
    await pbx.empty()


async def test_it_is_a_live_call(pbx: Pbx) -> None:
    program = await pbx.program()
    began: list[LiveCall] = []
    program.client.on("LIVE_CALL_BEGAN", began.append)
    await program.client.live_calls()
    call, _ = await originated(pbx, program)
    await until(lambda: [c.call_id for c in began] == [call.call_id], "it is told of")
    assert [(c.own, c.parties[0].role) for c in began] == [(True, "caller")]
    await program.client.hang_up(call.call_id)

    async def over() -> bool:
        return await program.client.live_calls() == ()

    await until_true(over, "it is over")
