"""The program leaves its calls as they stand to the next one, as for an upgrade."""

from __future__ import annotations

import asyncio

import pytest

from bridge import AudioMode, CallState, EndReason, events
from bridge.lab.waiting import until
from tests.audio.machine import measured, whole
from tests.integration.restart.scene import PICKED_UP, TALK, killed, next_program
from tests.support.conference import Conference, everyone
from tests.support.pbx import Pbx, mode_of, state_of

pytestmark = pytest.mark.asterisk


@pytest.mark.parametrize("state", ["answered", "talking", "held", "conference", "apart"])
async def test_the_next_program_goes_on(pbx: Pbx, state: str) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with killed(pbx, state, hand_over=True) as scene, next_program(pbx) as after:
            await after.resumed(1)
            (call,) = after.calls.values()
            assert {party.name for party in call.parties} == {"caller", *PICKED_UP[state]}
            silence_s = await scene.silence_s("caller") if state == "held" else 0.0
            alone = state == "answered"
            assert state_of(call) is (CallState.ANSWERED if alone else CallState.CONNECTED)
            assert mode_of(call)[0] is (AudioMode.BARGE if alone else AudioMode.SPY)
            on_hold = ["caller"] if state == "held" else []
            await scene.conference.parties_hear(TALK[state], *on_hold)
            lost = await scene.lost()
            await call.disconnect(cut=True)
            for party in scene.people.values():
                await party.wait_closed()
        whole(not lost, lost)
        whole(silence_s < 0.06, f"silence for {silence_s:.3f} s")

    await measured(pbx, measurement)


@pytest.mark.parametrize("state", ["taken_over", "observed"])
async def test_a_phone_stays(pbx: Pbx, state: str) -> None:
    async with killed(pbx, state, hand_over=True) as scene, next_program(pbx) as after:
        await after.resumed(1)
        await after.observed(
            len([o for o in ("boss", "coach") if state == "observed" or o == "boss"])
        )
        hears = {("boss", "caller"), ("boss", "callee")}
        both = everyone("caller", "callee")
        await scene.conference.parties_hear(both | hears)
        (call,) = after.calls.values()
        await call.disconnect(cut=True)
        for party in scene.people.values():
            await party.wait_closed()


async def test_within_one_process(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    conference = await Conference.of(direct)
    client, call = direct.call._controller, direct.call
    told: list[EndReason | None] = []
    call.on(events.CALL_TERMINATED, lambda: told.append(call.end_reason))
    await client.hand_over()
    await until(lambda: told == [EndReason.HANDED_OVER], "the program is told")
    await conference.parties_hear(everyone("caller", "callee"))
    async with next_program(pbx) as after:
        await after.resumed(1)
        (again,) = after.calls.values()
        assert (again.call_id, again.caller_number) == (call.call_id, call.caller_number)
        await again.disconnect()
        await asyncio.gather(*(party.wait_closed() for party in conference.people.values()))
