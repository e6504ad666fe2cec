"""A supervisor's channel: rung or dialled in, had or not had, and what is told of it."""

from __future__ import annotations

import pytest

from bridge.lab.phones import Behaviour, CallState
from bridge.lab.waiting import until
from bridge.model.errors import ErrorCode
from bridge.model.states import HangupCause
from bridge.runtime.seat import AccessPolicy, Present, Rung, Seat, turn_away
from bridge.session.observer.inputs import Seated, SeatFailed
from tests.integration.seats.office import SUPERVISOR, Office, Supervisor
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

PHONE = "PJSIP/1003"


def is_ringing(seat: Seat) -> bool:
    """Ask anew: a property that is compared twice would be taken as constant."""
    return seat.ringing


REFUSALS = {
    Behaviour.BUSY: (ErrorCode.CALL_BUSY, 17),
    Behaviour.DECLINE: (ErrorCode.CALL_DECLINED, 21),
    Behaviour.UNAVAILABLE: (ErrorCode.CALL_UNANSWERED, 19),
    Behaviour.NO_ANSWER: (ErrorCode.CALL_UNANSWERED, 19),
}


async def test_a_phone_that_is_rung_and_answers(pbx: Pbx, supervisor: Supervisor) -> None:
    phone = await pbx.phone("1003", answer=Behaviour.RING)
    seat = await supervisor.sit(Rung(PHONE))
    await phone.wait_state(CallState.EARLY)
    assert is_ringing(seat)
    assert supervisor.facts == []
    await phone.answer()
    assert await supervisor.fact() == Seated()
    assert not is_ringing(seat)
    assert seat.channel_name.startswith("PJSIP/1003-")
    assert supervisor.executor.channel_of(SUPERVISOR) == seat.channel_id


@pytest.mark.parametrize("behaviour", list(REFUSALS))
async def test_a_phone_that_is_not_answered(
    pbx: Pbx, supervisor: Supervisor, behaviour: Behaviour
) -> None:
    await pbx.phone("1003", answer=behaviour)
    await supervisor.sit(Rung(PHONE, seconds=1))
    failure = await supervisor.fact()
    assert isinstance(failure, SeatFailed)
    assert (failure.code, failure.cause) == REFUSALS[behaviour]
    assert PHONE in failure.message


@pytest.mark.parametrize("endpoint", ["PJSIP/1009", "PJSIP/5555", "Nothing/1"])
async def test_a_phone_that_is_not_there(supervisor: Supervisor, endpoint: str) -> None:
    await supervisor.sit(Rung(endpoint, seconds=1))
    failure = await supervisor.fact()
    assert isinstance(failure, SeatFailed)
    assert failure.code is ErrorCode.CALL_UNREACHABLE


async def test_an_attempt_that_is_given_up(pbx: Pbx, supervisor: Supervisor) -> None:
    phone = await pbx.phone("1003", answer=Behaviour.RING)
    seat = await supervisor.sit(Rung(PHONE))
    await phone.wait_state(CallState.EARLY)
    seat.stop()
    await supervisor.executor.tear_down(HangupCause.NORMAL)
    await phone.wait_state(CallState.DISCONNECTED)
    await pbx.empty()
    assert supervisor.facts == []


@pytest.mark.parametrize(("dialled", "extension"), [("*55", ""), ("*551002", "1002")])
async def test_a_phone_that_dials_the_access_code(
    pbx: Pbx, office: Office, supervisor: Supervisor, dialled: str, extension: str
) -> None:
    phone = await pbx.phone("1003")
    await phone.call(dialled)
    access = await office.access()
    assert (access.endpoint, access.number, access.extension) == (PHONE, "1003", extension)
    assert AccessPolicy(["1003"]).allows(access)
    assert not AccessPolicy(["1004"]).allows(access)
    assert CallState.CONFIRMED not in phone.calls[-1].reached
    await supervisor.sit(Present(access.channel_id, access.channel_name))
    assert await supervisor.fact() == Seated()
    await phone.wait_state(CallState.CONFIRMED)
    await supervisor.executor.tear_down(HangupCause.NORMAL)
    await phone.wait_state(CallState.DISCONNECTED)


async def test_somebody_who_may_not(pbx: Pbx, office: Office) -> None:
    phone = await pbx.phone("1003")
    await phone.call("*55")
    await turn_away(office.ari, await office.access(), "nobody said that he may")
    await phone.wait_state(CallState.DISCONNECTED)
    assert phone.last_disconnect is not None
    assert phone.last_disconnect.code in {403, 603}
    assert CallState.CONFIRMED not in phone.calls[-1].reached


async def test_somebody_who_hangs_up_before_he_is_let_in(
    pbx: Pbx, office: Office, supervisor: Supervisor
) -> None:
    phone = await pbx.phone("1003")
    await phone.call("*55")
    access = await office.access()
    await phone.hangup()
    await until(lambda: access.channel_id in office.left, "he has left")
    await supervisor.sit(Present(access.channel_id, access.channel_name))
    failure = await supervisor.fact()
    assert isinstance(failure, SeatFailed)
    assert failure.code is ErrorCode.CALL_FAILED
    assert access.channel_name in failure.message
    await turn_away(office.ari, access, "he is gone: this must not raise")


async def test_any_channel_in_the_application_can_be_a_seat(
    office: Office, supervisor: Supervisor
) -> None:
    party = await office.party("1003")
    await supervisor.sit(Present(party.channel_id, "WebSocket/any"))
    assert await supervisor.fact() == Seated()


async def test_an_end_that_is_told_twice(pbx: Pbx, supervisor: Supervisor) -> None:
    await pbx.phone("1003", answer=Behaviour.BUSY)
    seat = await supervisor.sit(Rung(PHONE))
    failure = await supervisor.fact()
    seat.channel_gone(seat.channel_id, HangupCause.NORMAL)
    seat.channel_up(seat.channel_id)
    assert supervisor.facts == [failure]


async def test_an_end_that_is_never_told(pbx: Pbx, office: Office, supervisor: Supervisor) -> None:
    office.deaf = True
    await pbx.phone("1003", answer=Behaviour.NO_ANSWER)
    await supervisor.sit(Rung(PHONE, seconds=1))
    failure = await supervisor.fact(within_s=8)
    assert isinstance(failure, SeatFailed)
    assert (failure.code, failure.cause) == (ErrorCode.CALL_UNANSWERED, 19)
    assert "within 1 s" in failure.message
