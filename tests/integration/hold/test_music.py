"""What those on hold hear: their own music, at once, without a gap, and nobody else's."""

from __future__ import annotations

import asyncio

import pytest

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.model.errors import BadArgumentError
from bridge.sdk import ActiveCall
from tests.audio.machine import remeasured
from tests.integration.hold.music import GAP_MS, gap_of, heard
from tests.support.conference import Conference
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, DirectCall, Pbx

pytestmark = pytest.mark.asterisk


async def talking(pbx: Pbx) -> Conference:
    """Have a caller and a callee talk."""
    return await Conference.of(await pbx.direct_call())


@remeasured
async def test_two_calls_on_hold_each_with_its_own_music(pbx: Pbx) -> None:
    def music(call: ActiveCall) -> str:
        return {"1998": "jazz"}.get(call.caller_number, "blues")

    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT, music=music)
    people: list[tuple[ActiveCall, DirectParty, DirectParty]] = []
    for number in ("1998", "1999"):
        caller = await pbx.keep(
            DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE, caller_number=number)
        )
        call = await program.next_call()
        direct = DirectCall(pbx, call, caller, callee_tone=CALLEE_TONE)
        await call.answer()
        people.append((call, caller, await direct.connect()))
    await asyncio.gather(*(call.hold("caller") for call, _, _ in people))
    assert await asyncio.gather(*(heard(caller) for _, caller, _ in people)) == [
        {"jazz"},
        {"blues"},
    ]
    assert await asyncio.gather(*(heard(callee) for _, _, callee in people)) == [set(), set()]
    await people[0][0].hold("callee", music="default")
    assert await asyncio.gather(*(heard(callee) for _, _, callee in people)) == [
        {"default"},
        set(),
    ]
    assert await asyncio.gather(*(heard(caller) for _, caller, _ in people)) == [
        {"jazz"},
        {"blues"},
    ]


@remeasured
async def test_no_gap_when_held_and_when_brought_back(pbx: Pbx) -> None:
    conference = await talking(pbx)
    caller, call = conference.people["caller"], conference.call
    found = []
    for _ in range(4):
        found.append(await gap_of(caller, asyncio.ensure_future(call.hold("caller"))))
        assert await heard(caller) == {"default"}
        found.append(await gap_of(caller, asyncio.ensure_future(call.unhold("caller"))))
        assert await heard(caller) == {"callee"}
    assert max(found) <= GAP_MS, found


@remeasured
async def test_another_class_while_on_hold(pbx: Pbx) -> None:
    conference = await talking(pbx)
    caller, call = conference.people["caller"], conference.call
    await call.hold("caller", music="jazz")
    assert await heard(caller) == {"jazz"}
    found = [await gap_of(caller, asyncio.ensure_future(call.hold("caller", music="blues")))]
    assert await heard(caller) == {"blues"}
    await call.set_music("jazz")
    assert await heard(caller) == {"blues"}
    await call.unhold("caller")
    await call.hold("caller")
    assert await heard(caller) == {"jazz"}
    found.append(await gap_of(caller, asyncio.ensure_future(call.set_music("blues"))))
    assert await heard(caller) == {"blues"}
    found.append(await gap_of(caller, asyncio.ensure_future(call.set_music(""))))
    assert await heard(caller) == {"default"}
    assert max(found) <= GAP_MS, found


async def test_a_class_that_asterisk_does_not_have_is_its_default(pbx: Pbx) -> None:
    conference = await talking(pbx)
    await conference.call.hold("caller", music="nosuch")
    assert await heard(conference.people["caller"]) == {"default"}
    with pytest.raises(BadArgumentError, match="cannot name a music class"):
        await conference.call.set_music("no such")
    with pytest.raises(BadArgumentError):
        await conference.call.hold("nobody", music="jazz")
    assert await heard(conference.people["caller"]) == {"default"}
