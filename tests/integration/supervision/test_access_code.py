"""Who dials the access code observes, if he may: the newest call, or that of an extension."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bridge.lab.hearing import TONES
from bridge.lab.phones import CallState, Codec, Phone, Tone
from bridge.lab.waiting import until
from bridge.runtime.seat import Access
from tests.integration.supervision.floor import BOTH_HEAR, PARTIES, Floor, opened, will_hear
from tests.support.pbx import Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

VOICE = Tone(TONES["supervisor"], -15.0)


@pytest.fixture
async def floor(pbx: Pbx) -> AsyncIterator[Floor]:
    async with opened(pbx, supervisors=["1005", "PJSIP/1006"]) as floor:
        yield floor


async def dial(floor: Floor, number: str, code: str) -> Phone:
    phone = await floor.pbx.phone(number, codec=Codec.L16_16000, source=VOICE)
    await phone.call(code)
    return phone


async def turned_away(phone: Phone) -> None:
    await phone.wait_state(CallState.DISCONNECTED)
    assert phone.last_disconnect is not None
    assert phone.last_disconnect.code in {403, 603}
    assert CallState.CONFIRMED not in phone.calls[-1].reached


def with_boss(*listeners: str) -> dict[str, set[str]]:
    return {
        who: whom | ({"supervisor"} if who in listeners else set())
        for who, whom in BOTH_HEAR.items()
    }


async def test_the_newest_call(floor: Floor) -> None:
    talks = [await floor.own_call(), await floor.foreign_call()]
    phone = await dial(floor, "1005", "*55")
    await phone.wait_state(CallState.CONFIRMED)
    await until(lambda: floor.client.audit.records, "he is there")
    await phone.dtmf("6")
    await will_hear(talks[1].parties, with_boss(*PARTIES))
    await will_hear(talks[0].parties, BOTH_HEAR)
    await phone.dtmf("*")
    await will_hear(talks[1].parties, BOTH_HEAR)
    await phone.dtmf("5")
    await will_hear(talks[0].parties, with_boss("callee"))
    await phone.dtmf("#")
    await phone.wait_state(CallState.DISCONNECTED)
    await will_hear(talks[0].parties, BOTH_HEAR)
    whos = {r.who for r in floor.client.audit.records}
    assert whos == {"supervisor_pjsip_1005"}


async def test_an_extension(floor: Floor) -> None:
    await floor.foreign_call()
    talk = await floor.own_call()
    caller = await floor.pbx.phone("1001")
    callee = await floor.pbx.phone("1002")
    await caller.call("91002")
    await callee.wait_state(CallState.CONFIRMED)

    async def known() -> bool:
        return len(await floor.client.live_calls()) == 3

    await until_true(known, "three calls")
    phone = await dial(floor, "1006", "*551002")
    await phone.wait_state(CallState.CONFIRMED)
    await until(lambda: floor.client.audit.records, "he is there")
    (joined,) = floor.client.audit.records
    assert joined.what == "joined"
    meant = [c for c in await floor.client.live_calls() if c.call_id == joined.call_id]
    assert {p.endpoint for c in meant for p in c.parties} == {"PJSIP/1001", "PJSIP/1002"}
    await phone.dtmf("6")
    await will_hear(talk.parties, BOTH_HEAR)
    await callee.hangup()
    await phone.wait_state(CallState.DISCONNECTED)


@pytest.mark.quiet
@pytest.mark.parametrize("code", ["*55", "*559000", "*551002"])
async def test_somebody_who_may_not(floor: Floor, code: str) -> None:
    talk = await floor.foreign_call()
    await talk.each_other()
    await turned_away(await dial(floor, "1004", code))
    assert floor.client.audit.records == ()
    await talk.nothing_lost()


@pytest.mark.parametrize("code", ["*55", "*551002"])
async def test_no_call(floor: Floor, code: str) -> None:
    await turned_away(await dial(floor, "1005", code))
    await floor.pbx.empty()


async def test_nobody_has_that_extension(floor: Floor) -> None:
    await floor.foreign_call()
    await turned_away(await dial(floor, "1005", "*551002"))


async def test_an_extension_on_two_calls(floor: Floor) -> None:
    # Both callers have the same number.
    talks = [await floor.own_call(), await floor.foreign_call()]
    await turned_away(await dial(floor, "1005", "*551999"))
    for talk in talks:
        await will_hear(talk.parties, BOTH_HEAR)


async def test_nobody_may_unless_it_is_said(pbx: Pbx) -> None:
    async with opened(pbx) as floor:
        await floor.foreign_call()
        await turned_away(await dial(floor, "1005", "*55"))


@pytest.mark.parametrize("answer", [True, False])
async def test_a_function_is_asked(pbx: Pbx, *, answer: bool) -> None:
    asked: list[Access] = []

    def may(access: Access) -> bool:
        asked.append(access)
        return answer

    async with opened(pbx, supervisors=may) as floor:
        await floor.foreign_call()
        phone = await dial(floor, "1007", "*551999")
        if answer:
            await phone.wait_state(CallState.CONFIRMED)
        else:
            await turned_away(phone)
        (access,) = asked
        assert (access.endpoint, access.number, access.extension) == ("PJSIP/1007", "1007", "1999")


@pytest.mark.quiet
async def test_the_same_phone_observes_once(floor: Floor) -> None:
    talk = await floor.foreign_call()
    phone = await dial(floor, "1005", "*55")
    await phone.wait_state(CallState.CONFIRMED)
    await phone.consult("*55")
    await until(lambda: phone.calls[-1].disconnect is not None, "the second is turned away")
    assert CallState.CONFIRMED not in phone.calls[-1].reached
    await talk.each_other()
    await talk.nothing_lost()


async def test_the_supervisor_hangs_up(floor: Floor) -> None:
    talk = await floor.own_call()
    before = set(await floor.pbx.channels()), set(await floor.pbx.bridges())
    phone = await dial(floor, "1005", "*55")
    await phone.wait_state(CallState.CONFIRMED)
    await until(lambda: floor.client.audit.records, "he is there")
    await phone.dtmf("6")
    await will_hear(talk.parties, with_boss(*PARTIES))
    await phone.hangup()

    async def as_before() -> bool:
        return before == (set(await floor.pbx.channels()), set(await floor.pbx.bridges()))

    await until_true(as_before, "nothing of him is left")
    await will_hear(talk.parties, BOTH_HEAR)


@pytest.mark.parametrize("ends", ["call", "program"])
async def test_he_is_hung_up(floor: Floor, ends: str) -> None:
    talk = await floor.foreign_call()
    phone = await dial(floor, "1005", "*55")
    await phone.wait_state(CallState.CONFIRMED)
    if ends == "call":
        await talk.over()
    else:
        await floor.client.disconnect()
    await phone.wait_state(CallState.DISCONNECTED)
