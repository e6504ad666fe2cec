"""Calls that no application owns, placed and moved about by real phones, keep their ids."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from bridge.lab.phones import Behaviour, CallState
from bridge.lab.waiting import until
from bridge.model.participants import CALLEE, CALLER, Participant
from tests.integration.watch.conftest import open_watch
from tests.support.pbx import until_true

if TYPE_CHECKING:
    from bridge.directory import LiveCall
    from bridge.lab.phones import Phone
    from tests.integration.watch.conftest import Watched
    from tests.support.pbx import Pbx

THIRD = Participant("party3")
pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


async def talking(pbx: Pbx, watched: Watched, prefix: str = "9") -> tuple[Phone, Phone, LiveCall]:
    """Let 1001 call 1002 without any application."""
    caller, callee = await pbx.phone("1001"), await pbx.phone("1002")
    await caller.call(f"{prefix}1002")
    call = await watched.until_call(caller="1001", callee="1002")
    return caller, callee, call


@pytest.mark.parametrize("who", ["caller", "callee"])
async def test_a_plain_dial_until_one_hangs_up(pbx: Pbx, watched: Watched, who: str) -> None:
    caller, callee = await pbx.phone("1001"), await pbx.phone("1002", answer=Behaviour.RING)
    await caller.call("91002")
    await callee.wait_state(CallState.INCOMING)
    assert watched.directory.calls == ()
    await callee.answer()
    call = await watched.until_call(caller="1001", callee="1002")
    assert not call.own

    def flags() -> list[tuple[str, bool, bool]]:
        return [(p.number, p.up, p.alone) for p in watched.directory.calls[0].parties]

    await until(
        lambda: flags() == [("1001", True, False), ("1002", True, False)], "both are together"
    )
    assert [p.name for p in call.parties] == ["Phone 1001", "Phone 1002"]
    await {"caller": caller, "callee": callee}[who].hangup()
    await watched.until_who()
    assert watched.told_of(call.call_id)[0] == "CallBegan"
    assert watched.told_of(call.call_id)[-1] == "CallEnded"


async def test_who_watches_later_calls_it_the_same(pbx: Pbx, watched: Watched) -> None:
    _, _, call = await talking(pbx, watched)
    async with AsyncExitStack() as stack:
        later = await open_watch(pbx.instance, stack)
        assert [one.call_id for one in later.directory.calls] == [call.call_id]


async def test_nobody_answers(pbx: Pbx, watched: Watched) -> None:
    caller = await pbx.phone("1001")
    await pbx.phone("1002", answer=Behaviour.BUSY)
    await caller.call("91002")
    await caller.wait_state(CallState.DISCONNECTED)
    await pbx.empty()
    assert watched.changes == []


async def test_hold_by_re_invite(pbx: Pbx, watched: Watched) -> None:
    _, callee, call = await talking(pbx, watched)

    def flags() -> list[tuple[bool, bool]]:
        return [(p.holding, p.on_hold) for p in watched.directory.calls[0].parties]

    await callee.hold()
    await until(lambda: flags() == [(False, True), (True, False)], "the caller is on hold")
    await callee.unhold()
    await until(lambda: flags() == [(False, False), (False, False)], "he is back")
    assert watched.told_of(call.call_id) == ["CallBegan", "PartiesChanged", "PartiesChanged"]


@pytest.mark.parametrize("queue", ["8000", "8001"])
async def test_a_queue_whose_member_is_behind_a_local_channel(
    pbx: Pbx, watched: Watched, queue: str
) -> None:
    caller = await pbx.phone("1001")
    await pbx.phone("1003", answer_after_ms=200)
    await caller.call(queue)
    call = await watched.until_call(caller="1001", callee="1003")
    between = {"8000": 0, "8001": 2}[queue]

    async def all_channels_are_there() -> bool:
        return len(await pbx.channels()) == 2 + between

    await until_true(all_channels_are_there, "Asterisk has taken the Local channels out or not")
    await caller.hangup()
    await watched.until_who()
    assert [c.call.call_id for c in watched.changes] == [call.call_id] * len(watched.changes)


async def test_hold_through_a_local_channel(pbx: Pbx, watched: Watched) -> None:
    caller, member = await pbx.phone("1001"), await pbx.phone("1003")
    await caller.call("8001")
    await watched.until_call(caller="1001", callee="1003")
    await member.hold()
    await until(lambda: watched.directory.calls[0].parties[0].on_hold, "the caller is on hold")
    assert not watched.directory.calls[0].parties[1].on_hold


async def test_a_blind_transfer_by_the_callee(pbx: Pbx, watched: Watched) -> None:
    caller, callee, call = await talking(pbx, watched)
    third = await pbx.phone("1004", answer=Behaviour.RING)
    await callee.transfer("91004")
    await third.wait_state(CallState.INCOMING)
    after = await watched.until_call(caller="1001")
    assert after.parties[0].alone
    await third.answer()
    after = await watched.until_call(caller="1001", callee="1004")
    assert after.channels[CALLER] == call.channels[CALLER]
    assert after.channels[CALLEE] != call.channels[CALLEE]
    await callee.wait_state(CallState.DISCONNECTED)
    await caller.hangup()
    await watched.until_who()
    assert {c.call.call_id for c in watched.changes} == {call.call_id}


async def test_a_blind_transfer_by_the_caller(pbx: Pbx, watched: Watched) -> None:
    caller, callee, call = await talking(pbx, watched)
    await pbx.phone("1004")
    await caller.transfer("91004")
    after = await watched.until_call(caller="1004", callee="1002")
    assert after.call_id == call.call_id
    assert after.channels[CALLEE] == call.channels[CALLEE]
    await callee.hangup()
    await watched.until_who()


async def test_a_transfer_to_nobody(pbx: Pbx, watched: Watched) -> None:
    _, callee, call = await talking(pbx, watched)
    await pbx.phone("1004", answer=Behaviour.BUSY)
    await callee.transfer("91004")
    await watched.until_who()
    assert watched.told_of(call.call_id)[-1] == "CallEnded"
    await pbx.empty()


@pytest.mark.parametrize("by", ["caller", "callee"])
async def test_an_attended_transfer(pbx: Pbx, watched: Watched, by: str) -> None:
    caller, callee, call = await talking(pbx, watched)
    third = await pbx.phone("1004")
    phone = {"caller": caller, "callee": callee}[by]
    number = phone.settings.number
    await phone.consult("91004")
    await watched.until_who(
        {"caller": "1001", "callee": "1002"}, {"caller": number, "callee": "1004"}
    )
    consultation = watched.directory.calls[1]
    await phone.complete_transfer()
    await watched.until_who({"caller": "1001", "callee": "1002", by: "1004"})
    after = watched.directory.calls[0]
    assert after.call_id == call.call_id
    assert watched.told_of(consultation.call_id)[-1] == "CallEnded"
    await phone.wait_state(CallState.DISCONNECTED)
    await third.hangup()
    await watched.until_who()


async def test_an_attended_transfer_before_the_third_answers(pbx: Pbx, watched: Watched) -> None:
    _, callee, call = await talking(pbx, watched)
    third = await pbx.phone("1004", answer=Behaviour.RING)
    await callee.consult("91004")
    await third.wait_state(CallState.INCOMING)
    await callee.wait_state(CallState.EARLY)
    await callee.complete_transfer()
    await watched.until_call(caller="1001")
    await third.answer()
    after = await watched.until_call(caller="1001", callee="1004")
    assert after.call_id == call.call_id
    await third.hangup()
    await watched.until_who()


async def test_a_consultation_that_is_given_up(pbx: Pbx, watched: Watched) -> None:
    _, callee, call = await talking(pbx, watched)
    await pbx.phone("1004")
    await callee.consult("91004")
    await until(lambda: len(watched.directory.calls) == 2, "the consultation")
    await callee.hangup()
    after = await watched.until_call(caller="1001", callee="1002")
    assert after.channels == call.channels
    await callee.unhold()
    await until(lambda: not watched.directory.calls[0].parties[0].on_hold, "he is back")


async def test_an_attended_transfer_out_of_a_queue(pbx: Pbx, watched: Watched) -> None:
    """The Local channels move instead of the caller, who stays in his bridge."""
    caller, member = await pbx.phone("1001"), await pbx.phone("1003")
    await pbx.phone("1004")
    await caller.call("8001")
    call = await watched.until_call(caller="1001", callee="1003")
    await member.consult("91004")
    await until(lambda: len(watched.directory.calls) == 2, "the consultation")
    await member.complete_transfer()
    after = await watched.until_call(caller="1001", callee="1004")
    assert after.call_id == call.call_id


async def test_a_blind_transfer_by_keys(pbx: Pbx, watched: Watched) -> None:
    _, callee, call = await talking(pbx, watched, prefix="5")
    await pbx.phone("1004")
    await callee.dtmf("#1")
    await until(lambda: watched.directory.calls[0].parties[0].on_hold, "the number is asked for")
    await callee.dtmf("91004")
    after = await watched.until_call(caller="1001", callee="1004", within_s=15)
    assert after.call_id == call.call_id


async def test_an_attended_transfer_by_keys(pbx: Pbx, watched: Watched) -> None:
    """One channel of the agent's talks with both, one after the other: it is one call."""
    _, callee, call = await talking(pbx, watched, prefix="5")
    await pbx.phone("1004")
    await callee.dtmf("*2")
    await until(lambda: watched.directory.calls[0].parties[0].on_hold, "the number is asked for")
    await callee.dtmf("91004")
    during = await watched.until_call(caller="1001", callee="1002", party3="1004", within_s=15)
    assert [(p.alone, p.on_hold) for p in during.parties] == [
        (True, True),
        (False, False),
        (False, False),
    ]
    await callee.hangup()
    after = await watched.until_call(caller="1001", callee="1004")
    assert after.call_id == call.call_id
    assert after.channels[CALLEE] == during.channels[THIRD]


@pytest.mark.parametrize("how", ["transfer", "keys"])
async def test_parked_and_fetched(own_pbx: Pbx, own_watched: Watched, how: str) -> None:
    watched = own_watched
    _, callee, call = await talking(own_pbx, watched, prefix="5")
    if how == "transfer":
        await callee.transfer("7000")
    else:
        await callee.dtmf("#7")
    await until(lambda: watched.directory.calls[0].parties[0].parked, "the caller is parked")
    await callee.hangup()
    parked = await watched.until_call(caller="1001")
    assert parked.call_id == call.call_id
    assert (parked.parties[0].alone, parked.parties[0].on_hold) == (True, True)
    third = await own_pbx.phone("1004")
    await third.call("7001")
    after = await watched.until_call(caller="1001", callee="1004")
    assert after.call_id == call.call_id
    assert not after.parties[0].parked
    await third.hangup()
    await watched.until_who()
    assert {c.call.call_id for c in watched.changes} == {call.call_id}
