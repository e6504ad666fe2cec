"""A supervisor on a phone that is rung: had or not had, leaving, hung up, called away."""

from __future__ import annotations

import asyncio
import time

import pytest

from bridge.lab.phones import Behaviour, CallState
from bridge.lab.waiting import until
from bridge.model.errors import (
    AmbiguousCallError,
    BadArgumentError,
    CallClosedError,
    CallNotFoundError,
    ConnectFailedError,
    ErrorCode,
)
from bridge.sdk.events import ObserverEvent
from tests.integration.supervision.floor import BOTH_HEAR, Floor, Talk, hears, will_hear
from tests.support.pbx import until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

NOT_HAD = {
    Behaviour.BUSY: (ErrorCode.CALL_BUSY, 17),
    Behaviour.DECLINE: (ErrorCode.CALL_DECLINED, 21),
    Behaviour.UNAVAILABLE: (ErrorCode.CALL_UNANSWERED, 19),
    Behaviour.NO_ANSWER: (ErrorCode.CALL_UNANSWERED, 19),
}


async def own_or_foreign(floor: Floor, kind: str) -> Talk:
    talk = await (floor.own_call() if kind == "own" else floor.foreign_call())
    await talk.each_other()
    return talk


@pytest.fixture(params=["own", "foreign"])
async def talk(floor: Floor, request: pytest.FixtureRequest) -> Talk:
    return await own_or_foreign(floor, request.param)


async def stands(floor: Floor) -> tuple[set[str], set[str]]:
    """Return the ids of all channels and bridges."""
    return set(await floor.pbx.channels()), set(await floor.pbx.bridges())


async def as_before(floor: Floor, before: tuple[set[str], set[str]]) -> None:
    async def same() -> bool:
        return await stands(floor) == before

    await until_true(same, "nothing of the supervisor is left")


@pytest.mark.quiet
async def test_a_phone_that_is_answered(floor: Floor, talk: Talk) -> None:
    before = await stands(floor)
    phone = await floor.pbx.phone("1005", answer_after_ms=300)
    async with await floor.client.observe(talk.call_id, "boss", phone="1005") as boss:
        await phone.wait_state(CallState.CONFIRMED)
        assert (boss.name, boss.call_id, boss.mode) == ("boss", talk.call_id, "spy")
        await boss.barge()
        await hears(talk.parties, BOTH_HEAR)
    await phone.wait_state(CallState.DISCONNECTED)
    await as_before(floor, before)
    assert boss.left == "left"
    await talk.nothing_lost()


@pytest.mark.quiet
@pytest.mark.parametrize("behaviour", list(NOT_HAD))
async def test_a_phone_that_is_not_had(floor: Floor, behaviour: Behaviour) -> None:
    talk = await own_or_foreign(floor, "foreign")
    before = await stands(floor)
    await floor.pbx.phone("1005", answer=behaviour)
    asked = time.monotonic()
    with pytest.raises(ConnectFailedError, match="PJSIP/1005") as failure:
        await floor.client.observe(talk.call_id, "boss", phone="1005", ring_time_seconds=1)
    assert (failure.value.error_code, failure.value.hangup_cause) == NOT_HAD[behaviour]
    assert time.monotonic() - asked < 2
    await as_before(floor, before)
    await talk.nothing_lost()


@pytest.mark.parametrize("phone", ["1009", "5555", "Nothing/1"])
async def test_a_phone_that_is_not_there(floor: Floor, talk: Talk, phone: str) -> None:
    before = await stands(floor)
    with pytest.raises(ConnectFailedError) as failure:
        await floor.client.observe(talk.call_id, "boss", phone=phone)
    assert failure.value.error_code is ErrorCode.CALL_UNREACHABLE
    await as_before(floor, before)
    # The name is free again.
    boss, _ = await floor.boss(talk)
    await boss.leave()
    await as_before(floor, before)


@pytest.mark.quiet
async def test_it_rings_as_long_as_is_said(floor: Floor) -> None:
    talk = await own_or_foreign(floor, "foreign")
    phone = await floor.pbx.phone("1005", answer=Behaviour.RING)
    joining = asyncio.create_task(
        floor.client.observe(talk.call_id, "boss", phone="1005", ring_time_seconds=2)
    )
    await phone.wait_state(CallState.EARLY)
    ringing = time.monotonic()
    with pytest.raises(ConnectFailedError):
        await joining
    assert time.monotonic() - ringing == pytest.approx(2, abs=0.5)
    await phone.wait_state(CallState.DISCONNECTED)


@pytest.mark.quiet
async def test_what_cannot_be_meant(floor: Floor) -> None:
    with pytest.raises(CallNotFoundError):
        await floor.client.observe("1002", "boss", phone="1005")
    one = await own_or_foreign(floor, "foreign")
    two = await own_or_foreign(floor, "foreign")
    # The callers of both have the same number.
    with pytest.raises(AmbiguousCallError, match=one.call_id):
        await floor.client.observe("1999", "boss", phone="1005")
    for name in ("Boss", "", "a-b", "x" * 33):
        with pytest.raises(BadArgumentError):
            await floor.client.observe(two.call_id, name, phone="1005")
    for phone in ("", "1005&PJSIP/1006", "PJSIP/", "10 05"):
        with pytest.raises(BadArgumentError):
            await floor.client.observe(two.call_id, "boss", phone=phone)
    for talk in (one, two):
        await talk.nothing_lost()


@pytest.mark.parametrize("name", ["boss", "caller", "callee", "ai"])
async def test_a_name_that_is_taken(floor: Floor, talk: Talk, name: str) -> None:
    boss, _ = await floor.boss(talk)
    before = await stands(floor)
    with pytest.raises(BadArgumentError, match=name):
        await floor.client.observe(talk.call_id, name, phone="1005")
    with pytest.raises(BadArgumentError, match=name):
        await floor.client.observe(talk.call_id, name)
    assert await stands(floor) == before
    await boss.leave()


@pytest.mark.quiet
@pytest.mark.parametrize("mode", ["spy", "whisper", "barge"])
async def test_the_supervisor_hangs_up(floor: Floor, talk: Talk, mode: str) -> None:
    before = await stands(floor)
    boss, ear = await floor.boss(talk)
    told: list[str] = []
    boss.on(ObserverEvent.OBSERVER_LEFT, lambda: told.append("left"))
    await getattr(boss, mode)()
    await ear.hangup()
    assert await boss.wait_left() == "hung_up"
    await as_before(floor, before)
    await hears(talk.parties, BOTH_HEAR)
    await talk.nothing_lost()
    assert told == ["left"]
    with pytest.raises(CallClosedError):
        await boss.barge()
    await boss.leave()


async def test_nobody_waits_any_more_while_it_rings(floor: Floor, talk: Talk) -> None:
    before = await stands(floor)
    phone = await floor.pbx.phone("1005", answer=Behaviour.RING)
    joining = asyncio.create_task(floor.client.observe(talk.call_id, "boss", phone="1005"))
    await phone.wait_state(CallState.EARLY)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    await phone.wait_state(CallState.DISCONNECTED)
    assert CallState.CONFIRMED not in phone.calls[-1].reached
    await as_before(floor, before)


async def test_the_call_ends_while_it_rings(floor: Floor, talk: Talk) -> None:
    phone = await floor.pbx.phone("1005", answer=Behaviour.RING)
    joining = asyncio.create_task(floor.client.observe(talk.call_id, "boss", phone="1005"))
    await phone.wait_state(CallState.EARLY)
    await talk.over()
    with pytest.raises(CallClosedError, match="call ended"):
        await joining
    await phone.wait_state(CallState.DISCONNECTED)
    await floor.pbx.empty()


@pytest.mark.parametrize("mode", ["spy", "whisper", "barge"])
async def test_the_call_ends_while_it_is_observed(floor: Floor, talk: Talk, mode: str) -> None:
    boss, ear = await floor.boss(talk)
    await getattr(boss, mode)()
    await talk.over()
    await ear.wait_closed()
    assert await boss.wait_left() == "call_ended"
    with pytest.raises(CallClosedError):
        await boss.spy()
    await floor.pbx.empty()


@pytest.mark.quiet
async def test_a_phone_goes_from_call_to_call(floor: Floor) -> None:
    talks = [await own_or_foreign(floor, kind) for kind in ("own", "foreign", "foreign")]
    boss, ear = await floor.boss(talks[0])

    async def observes(talk: Talk) -> None:
        assert (boss.call_id, boss.mode, boss.left) == (talk.call_id, "spy", None)
        await hears({"boss": ear}, {"boss": {"caller", "callee"}})
        await boss.barge()
        for other in talks:
            voice = {"supervisor"} if other is talk else set[str]()
            expected = {who: whom | voice for who, whom in BOTH_HEAR.items()}
            await will_hear(other.parties, expected)

    await observes(talks[0])
    for talk in (talks[1], talks[2], talks[0]):
        assert await boss.next() == talk.call_id
        await observes(talk)
    await boss.move_to(talks[2].call_id)
    await observes(talks[2])
    await talks[2].over()
    await ear.wait_closed()
    assert await boss.wait_left() == "call_ended"
    for talk in talks[:2]:
        await talk.nothing_lost()


async def test_there_is_no_other_call(floor: Floor, talk: Talk) -> None:
    boss, ear = await floor.boss(talk)
    await boss.barge()
    with pytest.raises(CallNotFoundError, match="no other"):
        await boss.next()
    assert (boss.mode, boss.left) == ("barge", None)
    await hears(
        {**talk.parties, "boss": ear},
        {
            "caller": {"callee", "supervisor"},
            "callee": {"caller", "supervisor"},
            "boss": {"caller", "callee"},
        },
    )
    await boss.leave()
    with pytest.raises(CallNotFoundError):
        await floor.client.observe("no-such-call", "boss", phone="1005")
    await until(lambda: ear.closed, "his phone is hung up")
