"""What those on hold hear: their own music, at once, without a gap, and nobody else's."""

from __future__ import annotations

import asyncio

import pytest

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.model.errors import BadArgumentError
from bridge.sdk import ActiveCall
from tests.audio.machine import remeasured
from tests.integration.hold.music import GAP_MS, both, gap_of, hears
from tests.support.conference import Conference
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, DirectCall, Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]


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
    _, callers, callees = zip(*people, strict=True)
    tunes = ("jazz", "blues")
    await both(*(hears(caller, {tune}) for caller, tune in zip(callers, tunes, strict=True)))
    await both(*(hears(callee, set()) for callee in callees))
    await people[0][0].hold("callee", music="default")
    await both(hears(callees[0], {"default"}), hears(callees[1], set()))
    await both(*(hears(caller, {tune}) for caller, tune in zip(callers, tunes, strict=True)))


@remeasured
async def test_no_gap_when_held_and_when_brought_back(pbx: Pbx) -> None:
    conference = await talking(pbx)
    caller, call = conference.people["caller"], conference.call
    found = []
    for _ in range(4):
        found.append(await gap_of(caller, asyncio.ensure_future(call.hold("caller"))))
        await hears(caller, {"default"})
        found.append(await gap_of(caller, asyncio.ensure_future(call.unhold("caller"))))
        await hears(caller, {"callee"})
    assert max(found) <= GAP_MS, found


@remeasured
async def test_another_class_while_on_hold(pbx: Pbx) -> None:
    conference = await talking(pbx)
    caller, call = conference.people["caller"], conference.call
    await call.hold("caller", music="jazz")
    await hears(caller, {"jazz"})
    found = [await gap_of(caller, asyncio.ensure_future(call.hold("caller", music="blues")))]
    await hears(caller, {"blues"})
    await call.set_music("jazz")
    await hears(caller, {"blues"})
    await call.unhold("caller")
    await call.hold("caller")
    await hears(caller, {"jazz"})
    found.append(await gap_of(caller, asyncio.ensure_future(call.set_music("blues"))))
    await hears(caller, {"blues"})
    found.append(await gap_of(caller, asyncio.ensure_future(call.set_music(""))))
    await hears(caller, {"default"})
    assert max(found) <= GAP_MS, found


async def test_a_class_that_asterisk_does_not_have_is_its_default(pbx: Pbx) -> None:
    conference = await talking(pbx)
    await conference.call.hold("caller", music="nosuch")
    await hears(conference.people["caller"], {"default"})
    with pytest.raises(BadArgumentError, match="cannot name a music class"):
        await conference.call.set_music("no such")
    with pytest.raises(BadArgumentError):
        await conference.call.hold("nobody", music="jazz")
    await hears(conference.people["caller"], {"default"})
