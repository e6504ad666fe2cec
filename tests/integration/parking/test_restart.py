"""The program is killed while somebody is parked: he waits on, and is fetched from the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge import ActiveCall, CallState, Client, EndReason, events
from bridge.lab.ears import DirectParty
from bridge.lab.phones import Tone
from bridge.lab.waiting import until
from tests.audio.machine import remeasured
from tests.integration.parking.conftest import hears, speaks
from tests.integration.restart.scene import longest_silence_s
from tests.support.child import child
from tests.support.conference import HZ
from tests.support.pbx import CALLER_TONE, SENT_DBFS, Pbx, state_of

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]

SLOT = "7101"
LONGEST_SILENCE_S = 0.06


@asynccontextmanager
async def orphan(pbx: Pbx, seconds: float) -> AsyncIterator[DirectParty]:
    """Have somebody parked by a program that is killed."""
    async with child(pbx, "tests.integration.parking.program", str(seconds)) as program:
        ari = pbx.instance.info.ari
        caller = await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))
        await program.says(SLOT)
        await caller.wait_frames(len(caller.frames) + 15)
        caller.clear()
        await program.die()
        await caller.wait_frames(25)
        yield caller


@asynccontextmanager
async def successor(pbx: Pbx, *events_heard: str) -> AsyncIterator[tuple[Client, list[Any]]]:
    """Start the next program; what it is told is listed."""
    ari = pbx.instance.info.ari
    client = Client(ari.url, ari.username, ari.password, sample_rate=16000, probe=False)
    told: list[Any] = []
    for event in events_heard:
        client.on(event, told.append)
    async with client:
        yield client, told


async def fetch(pbx: Pbx) -> DirectParty:
    ari, tone = pbx.instance.info.ari, Tone(HZ["human"], SENT_DBFS)
    return await pbx.keep(DirectParty.call(ari, SLOT, tone=tone, caller_number="1998"))


@remeasured
@pytest.mark.parametrize("listens", [True, False])
async def test_he_is_fetched(pbx: Pbx, *, listens: bool) -> None:
    heard_of = [events.CALL_RESUMED] if listens else []
    async with orphan(pbx, 120) as caller, successor(pbx, *heard_of) as (client, told):
        await until(lambda: client.parked, "he is known to be parked")
        (parked,) = client.parked
        assert (parked.slot, parked.party, parked.caller_number) == (SLOT, "caller", "1999")
        assert 100 < parked.seconds_left < 120
        call: ActiveCall | None = None
        if listens:
            await until(lambda: told, "the call is told of")
            call = told[0]
            assert isinstance(call, ActiveCall)
            assert (call.parked_in, state_of(call)) == (SLOT, CallState.ANSWERED)
        else:
            # Until the agent, whom nobody took, has left.
            await until(lambda: not client.calls, "nobody takes the call")
        await hears(caller, {"music"})
        assert longest_silence_s(caller) <= LONGEST_SILENCE_S
        phone = await fetch(pbx)
        await until(lambda: not client.parked, "he is fetched")
        await hears(caller, {"human"})
        await hears(phone, {"caller"})
        if call is not None:
            assert await call.wait_ended() is EndReason.AGENT_LEFT
        await asyncio.gather(phone.hangup(), caller.wait_closed())


@remeasured
async def test_his_time_goes_on(pbx: Pbx) -> None:
    heard_of = [events.CALL_RESUMED, events.PARKING_TIMED_OUT]
    async with orphan(pbx, 4) as caller, successor(pbx, *heard_of) as (client, told):
        await until(lambda: told, "the call is told of")
        call: ActiveCall = told[0]
        await until(lambda: len(told) == 2, "the time is over", within_s=6)
        assert told[1] is call
        await speaks(call)
        await hears(caller, {"ai"})
        assert client.parked == ()
        await call.disconnect(cut=True)
