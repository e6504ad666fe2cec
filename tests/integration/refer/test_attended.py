"""A phone that has consulted somebody brings its two calls together: SIP REFER with Replaces."""

from __future__ import annotations

import asyncio

import pytest

from bridge import CallState
from bridge.lab.ears import DirectParty
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.phones import Tone
from bridge.lab.waiting import until
from bridge.model.errors import CallClosedError
from bridge.model.states import EndReason
from bridge.runtime.reconcile import reconcile
from bridge.runtime.transfer_policy import TransferKind, TransferRequest
from tests.integration.refer.desk import HUMAN, Desk
from tests.integration.restart.scene import next_program
from tests.support.conference import HZ, everyone
from tests.support.pbx import SENT_DBFS, Pbx, state_of, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


@pytest.mark.parametrize("seat", ["callee", "caller"])
async def test_whom_the_phone_consulted_takes_its_place(pbx: Pbx, seat: str) -> None:
    desk = await Desk.begin(pbx, seat)
    consult = await desk.consult()
    # The one who waits hears music, and not a word of the consult.
    await desk.hears({("human", seat)}, music={desk.other})
    await desk.phone.complete_transfer()
    assert (await desk.phone.wait_transferred()).code == 200
    await desk.phone_is_idle()
    await desk.hears(everyone(desk.other, "human"))
    await consult.wait_ended()
    assert desk.names() == {desk.other, "human"}
    assert state_of(desk.call) is CallState.CONNECTED
    assert [call.call_id for call in desk.program.client.calls] == [desk.call.call_id]
    assert desk.results() == ["allowed", "completed"]
    request = desk.requests[0]
    assert (request.by, request.kind, request.target) == (seat, TransferKind.ATTENDED, HUMAN)
    # Nothing is left of the consult call but the one who moved.
    assert len([i for i in await pbx.channels() if f"{consult.call_id}-" in i]) == 1
    assert not [i for i in await pbx.bridges() if f"{consult.call_id}-" in i]


@pytest.mark.parametrize("agent", ["is there", "has left"])
async def test_who_moved_hangs_up(pbx: Pbx, agent: str) -> None:
    """The agent, if there is one, has the caller then, as with everybody who was added."""
    desk = await Desk.begin(pbx)
    await desk.consult()
    await desk.phone.complete_transfer()
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "human"))
    if agent == "has left":
        await desk.call.close()
    await desk.conference.people["human"].hangup()
    if agent == "is there":
        await until(lambda: desk.names() == {"caller"}, "the human has left")
        assert state_of(desk.call) is CallState.ANSWERED
        await desk.call.disconnect()
    await desk.other_party.wait_closed()
    await pbx.empty()


async def test_who_waited_hangs_up(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    await desk.consult()
    await desk.phone.complete_transfer()
    await desk.phone_is_idle()
    await desk.other_party.hangup()
    assert await desk.call.wait_ended() is EndReason.CALLER_HUNG_UP
    await desk.conference.people["human"].wait_closed()
    await pbx.empty()


async def test_the_agent_of_neither_call_is_there(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    await desk.call.close()
    consult = await desk.consult()
    await consult.close()
    await desk.hears({("human", "callee")}, music={"caller"})
    await desk.phone.complete_transfer()
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "human"))


async def test_who_moved_is_ours_after_a_break(pbx: Pbx) -> None:
    """His channel is named after the consult call, which is over."""
    desk = await Desk.begin(pbx)
    await desk.consult()
    await desk.phone.complete_transfer()
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "human"))
    await reconcile(desk.program.client._connected())
    await desk.hears(everyone("caller", "human"))
    await desk.call.hold("human")
    await desk.hears(set(), music={"human"})
    await desk.call.unhold("human")
    await desk.call.barge()
    await desk.conference.speak()
    talk = everyone("caller", "human")
    await desk.hears(talk | {("caller", "ai"), ("human", "ai")})


async def test_of_three_the_phone_alone_leaves(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    await desk.conference.add("expert")
    await desk.consult()
    # A phone that holds leaves the others to talk.
    talk = everyone("caller", "expert")
    await desk.hears(talk | {("human", "callee")})
    await desk.phone.complete_transfer()
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "expert", "human"))
    # One of three may go: fates of who moved are those of his new call.
    await desk.conference.people.pop("human").hangup()
    await until(lambda: desk.names() == {"caller", "expert"}, "the human has left")
    await desk.hears(everyone("caller", "expert"))


async def test_the_policy_says_no(pbx: Pbx) -> None:
    def blind_alone(request: TransferRequest) -> bool:
        return request.kind is TransferKind.BLIND

    desk = await Desk.begin(pbx, transfer_policy=blind_alone)
    consult = await desk.consult()
    await desk.phone.complete_transfer()
    assert (await desk.phone.wait_transferred()).code == 603
    await desk.hears({("human", "callee")}, music={"caller"})
    assert state_of(consult) is state_of(desk.call) is CallState.CONNECTED
    # The phone goes back to the one who waits.
    await desk.phone.hangup()
    await consult.wait_ended()
    del desk.conference.people["human"]
    await desk.phone.unhold()
    await until(lambda: not desk.is_held("caller"), "he is back")
    await desk.hears({("caller", "callee")})


async def consulted_without_us(desk: Desk) -> DirectParty:
    """Let the phone call somebody by the dialplan's own Dial()."""
    await desk.phone.consult("9000")
    found: list[str] = []

    async def look() -> bool:
        found[:] = [c.id for c in await desk.pbx.listed() if c.dialplan.app_name == "AppDial"]
        return bool(found)

    await until_true(look, "he is rung")
    tone = Tone(HZ["human"], SENT_DBFS)
    ari = desk.pbx.instance.info.ari
    human = await desk.pbx.keep(DirectParty.answer(ari, found[0], tone=tone))
    desk.conference.people["human"] = human
    await desk.phone.wait_state(PhoneState.CONFIRMED)
    await desk.hears({("human", "callee")}, music={"caller"})
    return human


async def test_a_consult_that_the_application_does_not_have(pbx: Pbx) -> None:
    """The dialplan sends the one who was consulted to us."""
    desk = await Desk.begin(pbx)
    await consulted_without_us(desk)
    await desk.phone.complete_transfer()
    assert (await desk.phone.wait_transferred()).code == 200
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "human"))
    assert desk.names() == {"caller", "human"}
    assert desk.program.calls.empty()
    await desk.other_party.hangup()
    await desk.conference.people["human"].wait_closed()
    await pbx.empty()


async def test_a_dialplan_that_cannot_send_him(own_pbx: Pbx) -> None:
    own_pbx.instance.command("dialplan remove context callbridge-fetch")
    desk = await Desk.begin(own_pbx)
    await consulted_without_us(desk)
    await desk.phone.complete_transfer()
    assert (await desk.phone.wait_transferred()).code == 603
    assert "talks outside of the application" in desk.results()[1]
    await desk.hears({("human", "callee")}, music={"caller"})
    assert [call.disconnect for call in desk.phone.calls] == [None, None]


async def test_a_consult_with_an_agent_alone(pbx: Pbx) -> None:
    """There is nobody whose leg could be brought over."""
    desk = await Desk.begin(pbx)
    await desk.phone.consult(HUMAN)
    consult = await desk.program.next_call()
    await consult.answer()
    await desk.phone.wait_state(desk.phone.calls[0].state)
    await desk.phone.complete_transfer()
    assert (await desk.phone.wait_transferred()).code == 603
    assert "one party has to be consulted" in desk.results()[1]
    assert state_of(consult) is CallState.ANSWERED
    assert state_of(desk.call) is CallState.CONNECTED


async def test_a_consult_that_rings_yet(pbx: Pbx) -> None:
    """Whom the phone does not wait for is rung for those who have waited."""
    desk = await Desk.begin(pbx)
    await desk.phone.consult(HUMAN)
    consult = await desk.program.next_call()
    connecting = asyncio.create_task(consult.connect())
    await pbx.callee_leg(consult)
    await desk.phone.complete_transfer()
    with pytest.raises(CallClosedError):
        await connecting
    await desk.hears(set(), music={"caller"})
    desk.conference.people["human"] = await desk.conference.pick_up("human")
    assert (await desk.phone.wait_transferred()).code == 200
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "human"))
    assert desk.results() == ["allowed", "completed"]


@pytest.mark.parametrize("who", ["caller", "human"])
async def test_without_the_program_both_end_together(pbx: Pbx, who: str) -> None:
    """The fates of the two are tied in Asterisk, and to nobody of the consult call."""
    desk = await Desk.begin(pbx)
    await desk.consult()
    await desk.phone.complete_transfer()
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "human"))
    await desk.program.client.disconnect()
    await desk.hears(everyone("caller", "human"))
    await desk.conference.people.pop(who).hangup()
    (other,) = desk.conference.people.values()
    await other.wait_closed()
    async with next_program(pbx):
        await pbx.empty()


async def test_the_next_program_knows_who_moved(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    await desk.consult()
    await desk.phone.complete_transfer()
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "human"))
    await desk.program.client.hand_over()
    async with next_program(pbx) as after:
        await after.resumed(1)
        (call,) = after.calls.values()
        assert {party.name for party in call.parties} == {"caller", "human"}
        await desk.hears(everyone("caller", "human"))
        # The agent is silent now: nobody is left for the caller.
        await desk.conference.people["human"].hangup()
        assert await call.wait_ended() is EndReason.PARTY_HUNG_UP
        await desk.other_party.wait_closed()


async def test_an_observer_hears_who_moved(pbx: Pbx) -> None:
    desk = await Desk.begin(pbx)
    observer = await desk.program.client.observe(desk.call)
    await desk.consult()
    await desk.phone.complete_transfer()
    await desk.phone_is_idle()
    await desk.hears(everyone("caller", "human"))
    await observer.whisper(to="human")
    report = await desk.program.client.audibility(desk.call)
    assert report.wanted == report.standing
    await observer.leave()
