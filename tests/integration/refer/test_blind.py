"""A phone transfers the other side of its call to a number: SIP REFER."""

from __future__ import annotations

import time

import pytest

from bridge import CallState
from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.lab.hearing import first_heard
from bridge.lab.phones import Behaviour
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.waiting import until
from bridge.runtime.transfer_policy import (
    TransferGrant,
    TransferKind,
    TransferRequest,
    TransferSource,
)
from bridge.sdk import events
from tests.audio.machine import remeasured
from tests.integration.refer.desk import HUMAN, Desk
from tests.integration.restart.scene import next_program
from tests.support.conference import HZ, RATE, everyone
from tests.support.pbx import SENT_DBFS, Pbx, state_of

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

HEARD_SECONDS = 0.25
"""From before he picks up, which takes its time itself, until both hear each other."""


@pytest.mark.parametrize("seat", ["callee", "caller"])
async def test_the_others_wait_with_music_until_they_talk(pbx: Pbx, seat: str) -> None:
    desk = await Desk.begin(pbx, seat)
    told: list[str] = []
    for event in (events.TRANSFER_STARTED, events.TRANSFER_ENDED):
        desk.call.on(event, lambda _call, transfer: told.append(str(transfer.outcome)))
    await desk.transfer()
    await desk.hears(set(), music={desk.other})
    assert [status.code for status in desk.phone.transfer_told] == [100, 100]
    await desk.answer()
    assert (await desk.phone.wait_transferred()).code == 200
    await desk.phone_is_idle()
    await desk.hears(everyone(desk.other, "human"))
    await until(lambda: desk.names() == {desk.other, "human"}, "the phone has left")
    assert state_of(desk.call) is CallState.CONNECTED
    assert told == ["None", "completed"]
    assert desk.results() == ["allowed", "completed"]
    request = desk.requests[0]
    assert (request.by, request.target, request.kind, request.source, request.endpoint) == (
        *(seat, HUMAN, TransferKind.BLIND, TransferSource.PHONE, "PJSIP/1001"),
    )


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [(Behaviour.BUSY, 603), (Behaviour.DECLINE, 603), (Behaviour.UNAVAILABLE, 503), (None, 503)],
)
async def test_who_cannot_be_had_the_call_comes_back_from(
    pbx: Pbx, behaviour: Behaviour | None, code: int
) -> None:
    desk = await Desk.begin(pbx)
    if behaviour is not None:
        await pbx.phone("1005", answer=behaviour)
    await desk.phone.transfer("1005" if behaviour is not None else "1777")
    assert (await desk.phone.wait_transferred()).code == code
    await desk.hears({("caller", "callee")})
    assert desk.names() == {"caller", "callee"}
    assert state_of(desk.call) is CallState.CONNECTED
    assert desk.phone.state is PhoneState.CONFIRMED
    assert desk.results()[1].startswith("failed: PJSIP/1")
    # And it can be tried again.
    await desk.transfer()
    await desk.answer()
    assert (await desk.phone.wait_transferred()).code == 200
    await desk.hears(everyone("caller", "human"))


async def test_who_does_not_answer_in_time(pbx: Pbx) -> None:
    desk = await Desk.begin(
        pbx, transfer_policy=lambda _request: TransferGrant(CALLEE_ENDPOINT, ring_time_seconds=2)
    )
    await desk.transfer()
    assert (await desk.phone.wait_transferred()).code == 503
    await desk.hears({("caller", "callee")})
    await desk.nobody_rings()


async def test_the_phone_does_not_wait(pbx: Pbx) -> None:
    """Many phones hang up as soon as the transfer is taken."""
    desk = await Desk.begin(pbx)
    await desk.transfer()
    await desk.phone.hangup()
    await desk.phone_is_idle()
    await desk.hears(set(), music={"caller"})
    await desk.answer()
    await desk.hears(everyone("caller", "human"))
    assert desk.results() == ["allowed", "completed"]


async def test_who_waits_hangs_up(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    await desk.transfer()
    await desk.conference.leg("human")
    await desk.other_party.hangup()
    assert (await desk.phone.wait_transferred()).code == 503
    await desk.phone_is_idle()
    await desk.call.wait_ended()
    await pbx.empty()
    assert desk.results()[1].startswith("caller_hung_up")


async def test_the_policy_says_no(pbx: Pbx) -> None:
    async def never(request: TransferRequest) -> bool:
        return request.source is not TransferSource.PHONE

    desk = await Desk.begin(pbx, transfer_policy=never)
    desk.conference.clear()
    await desk.phone.transfer(HUMAN)
    assert (await desk.phone.wait_transferred()).code == 603
    await desk.hears({("caller", "callee")})
    assert desk.results() == ["the policy does not let callee transfer this call"]
    assert desk.names() == {"caller", "callee"}


@pytest.mark.parametrize("number", ["a$b", "1004&1005"])
async def test_what_is_no_number_is_not_dialled(pbx: Pbx, number: str) -> None:
    desk = await Desk.begin(pbx)
    await desk.phone.transfer(number)
    assert (await desk.phone.wait_transferred()).code == 603
    assert "no number that can be dialled" in desk.results()[0]
    await desk.hears({("caller", "callee")})


async def test_a_transfer_of_the_program_goes_first(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    transfer = await desk.call.transfer(CALLEE_ENDPOINT)
    await desk.phone.transfer(HUMAN)
    assert (await desk.phone.wait_transferred()).code == 603
    await desk.answer()
    await transfer.wait_accepted()
    await desk.hears({("human", "callee")}, music={"caller"})
    await transfer.cancel(cut=True)


async def test_a_caller_who_talks_with_the_agent_alone_has_nobody_to_transfer(pbx: Pbx) -> None:
    program = await pbx.program()
    phone = await pbx.phone("1001")
    await phone.call("1002")
    call = await program.next_call()
    await call.answer()
    await phone.wait_state(PhoneState.CONFIRMED)
    await phone.transfer(HUMAN)
    assert (await phone.wait_transferred()).code == 603
    assert state_of(call) is CallState.ANSWERED


async def test_one_of_three_leaves_another_in_his_place(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    await desk.conference.add("expert")
    others = {("caller", "callee"), ("expert", "callee")}
    await desk.hears(others | everyone("caller", "expert"))
    await desk.phone.transfer(HUMAN)
    await desk.conference.leg("human")
    # They talk on while it rings.
    await desk.hears(others | everyone("caller", "expert"))
    await desk.answer()
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "expert", "human"))


async def test_phones_that_may_not_are_not_transferred_by_asterisk_either(pbx: Pbx) -> None:
    """Where a REFER is not handed to us it ends the call: nobody rings, and no new call comes."""
    desk = await Desk.begin(pbx, phone_transfers=["1003"])
    target = await pbx.phone("1005", answer=Behaviour.RING)
    await desk.phone.transfer("91005")
    await desk.call.wait_ended()
    await desk.phone_is_idle()
    await pbx.empty()
    assert desk.program.calls.empty()
    assert PhoneState.CONFIRMED not in [state for call in target.calls for state in call.reached]


@pytest.mark.alone
@remeasured
async def test_they_hear_each_other_as_soon_as_he_has_answered(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    await desk.transfer()
    caller, answered = desk.other_party, time.monotonic()
    human = await desk.answer()
    heard = {"caller": 0.0, "human": 0.0}

    def both() -> bool:
        for listener, speaker in ((caller, "human"), (human, "caller")):
            at = first_heard(list(listener.frames), RATE, HZ[speaker], SENT_DBFS - 20)
            heard[speaker] = 0.0 if at is None else at - answered
        return all(heard.values())

    await until(both, "they hear each other")
    assert max(heard.values()) <= HEARD_SECONDS, heard


@pytest.mark.parametrize("answered", [True, False])
async def test_the_next_program_tells_the_phone_how_it_ends(
    pbx: Pbx,
    answered: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    desk = await Desk.begin(pbx)
    await desk.transfer()
    leg = await desk.conference.leg("human")
    await desk.program.client.hand_over()
    await desk.hears(set(), music={"caller"})
    async with next_program(pbx) as after:
        await after.resumed(1)
        if answered:
            await desk.answer()
            assert (await desk.phone.wait_transferred()).code == 200
            await desk.phone_is_idle()
            await desk.hears(everyone("caller", "human"))
        else:
            await pbx.hang_up(leg)
            assert (await desk.phone.wait_transferred()).code in {503, 603}
            await desk.hears({("caller", "callee")})
        (call,) = after.calls.values()
        await call.disconnect(cut=True)
        await desk.other_party.wait_closed()


async def test_without_an_agent(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    await desk.call.close()
    await desk.phone.transfer(HUMAN)
    await desk.conference.leg("human")
    await desk.hears(set(), music={"caller"})
    await desk.answer()
    assert (await desk.phone.wait_transferred()).code == 200
    await desk.hears(everyone("caller", "human"))
    await desk.other_party.hangup()
    await desk.conference.people["human"].wait_closed()


async def test_a_phone_that_holds_and_is_refused(pbx: Pbx) -> None:
    """Most phones hold before they transfer; the caller waits with music as long as they do."""
    desk = await Desk.begin(pbx)
    await desk.phone.hold()
    await until(lambda: desk.is_held("caller"), "the caller is on hold")
    await pbx.phone("1005", answer=Behaviour.BUSY)
    await desk.phone.transfer("1005")
    assert (await desk.phone.wait_transferred()).code == 603
    await until(lambda: desk.is_held("caller"), "the caller is on hold again")
    await desk.hears(set(), music={"caller"})
    await desk.phone.unhold()
    await until(lambda: not desk.is_held("caller"), "he is back")
    await desk.hears({("caller", "callee")})


async def test_a_refer_that_crashes_asterisk_does_not_reach_it(own_pbx: Pbx) -> None:
    """Releases before 22.11 do not survive it on legs of phones that may transfer."""
    desk = await Desk.begin(own_pbx, phone_transfers=["1003"])
    await desk.phone.transfer("91777", headers=[("Refer-Sub", "false")])
    await desk.call.wait_ended()
    await desk.phone_is_idle()
    await own_pbx.empty()
