"""Parking: who waits hears music, and is fetched from any phone, or goes back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from bridge import ParkedCall
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.phones import CallState, Tone
from bridge.lab.waiting import until
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    CommandInProgressError,
    InvalidStateError,
)
from bridge.model.states import CallState as State
from bridge.model.states import EndReason
from bridge.sdk import ActiveCall, Client, events
from tests.audio.machine import remeasured
from tests.integration.parking.conftest import hears, speaks
from tests.support.conference import HZ
from tests.support.pbx import CALLER_TONE, SENT_DBFS, Pbx, Program, state_of

pytestmark = pytest.mark.asterisk

SLOT = "7101"
FETCHER = Tone(HZ["human"], SENT_DBFS)


@dataclass
class Scene:
    """A caller who talks with the AI, and all that is told."""

    pbx: Pbx
    program: Program
    call: ActiveCall
    caller: DirectParty
    told: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    async def begin(cls, pbx: Pbx, *, listens: bool = True) -> Scene:
        program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
        caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
        call = await program.next_call()
        await call.answer()
        scene = cls(pbx, program, call, caller)
        call.on(events.CALL_RETRIEVED, lambda _c, name: scene.told.append(("retrieved", name)))
        if listens:
            program.client.on(
                events.PARKING_TIMED_OUT, lambda _c, slot: scene.told.append(("timed out", slot))
            )
        return scene

    @property
    def client(self) -> Client:
        return self.program.client

    async def fetch(self, slot: str = SLOT, tone: Tone = FETCHER) -> DirectParty:
        """Dial a slot."""
        ari = self.pbx.instance.info.ari
        return await self.pbx.keep(DirectParty.call(ari, slot, tone=tone, caller_number="1998"))

    async def pick_up(self, name: str, tone: Tone = FETCHER) -> DirectParty:
        """Wait until somebody is rung, and answer for him."""
        legs: list[str] = []

        def rung() -> list[str]:
            executor = self.pbx.engine(self.call).executor
            legs[:] = [
                leg
                for key, party in executor.stands.legs.items()
                if party == name and (leg := executor.id_of(key))
            ]
            return legs

        await until(rung, f"{name} is rung")
        return await self.pbx.keep(
            DirectParty.answer(self.pbx.instance.info.ari, legs[0], tone=tone)
        )


def slots(parked: tuple[ParkedCall, ...]) -> list[tuple[str, str, str]]:
    return [(call.slot, call.call_id, call.party) for call in parked]


@remeasured
async def test_from_the_ai_to_a_slot_and_from_there_to_a_phone(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx)
    await speaks(scene.call)
    await hears(scene.caller, {"ai"})
    assert await scene.call.park() == SLOT
    assert slots(scene.client.parked) == [(SLOT, scene.call.call_id, "caller")]
    assert 115 < scene.client.parked[0].seconds_left <= 120
    await speaks(scene.call)
    await hears(scene.caller, {"music"})
    phone = await scene.fetch()
    assert await scene.call.wait_ended() is EndReason.AGENT_LEFT
    assert scene.told == [("retrieved", "retriever")]
    await hears(scene.caller, {"human"})
    await hears(phone, {"caller"})
    assert scene.client.parked == ()
    # They are a call like any other: one hangs up, and it is over for both.
    await phone.hangup()
    await scene.caller.wait_closed()


@remeasured
async def test_who_parks_leaves_and_is_rung_when_the_time_is_over(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx)
    connecting = asyncio.create_task(scene.call.connect())
    callee = await scene.pick_up("callee", Tone(HZ["callee"], SENT_DBFS))
    await connecting
    await hears(scene.caller, {"callee"})
    await scene.call.park("7102", timeout_seconds=1.5)
    await callee.wait_closed()
    await hears(scene.caller, {"music"})
    again = await scene.pick_up("parker", Tone(HZ["callee"], SENT_DBFS))
    await until(lambda: scene.told, "somebody has him")
    assert scene.told == [("retrieved", "parker")]
    await hears(scene.caller, {"callee"})
    await hears(again, {"caller"})
    assert scene.call.end_reason is EndReason.AGENT_LEFT


@remeasured
async def test_without_anybody_to_ring_the_ai_has_him_back(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx)
    await scene.call.park(timeout_seconds=0.6)
    await until(lambda: scene.told, "the time is over")
    assert scene.told == [("timed out", SLOT)]
    assert state_of(scene.call) is State.ANSWERED
    await speaks(scene.call)
    await hears(scene.caller, {"ai"})
    assert scene.client.parked == ()


@remeasured
async def test_he_stays_where_nobody_wants_him_back(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx, listens=False)
    await scene.call.park(timeout_seconds=0.3)
    await hears(scene.caller, {"music"})
    assert slots(scene.client.parked) == [(SLOT, scene.call.call_id, "caller")]
    await scene.call.unpark()
    await speaks(scene.call)
    await hears(scene.caller, {"ai"})
    with pytest.raises(InvalidStateError, match="is not parked"):
        await scene.call.unpark()


@remeasured
async def test_the_ai_may_listen_on(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx)
    await scene.call.park(stay=True)
    phone = await scene.fetch()
    await until(lambda: scene.told, "he is retrieved")
    assert state_of(scene.call) is State.CONNECTED
    await hears(scene.caller, {"human"})
    await hears(phone, {"caller"})
    assert {party.name for party in scene.call.parties} == {"caller", "retriever"}
    await scene.call.park("7103", by="ai")
    await phone.wait_closed()
    other = await scene.fetch("7103")
    await until(lambda: len(scene.told) == 2, "he is retrieved again")
    await hears(scene.caller, {"human"})
    await hears(other, {"caller"})


async def test_an_empty_slot_and_one_whom_two_want(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx)
    phones = await asyncio.gather(pbx.phone("1003"), pbx.phone("1004"))
    await phones[0].call("7105")
    ended = await phones[0].wait_state(CallState.DISCONNECTED)
    assert ended.disconnect is not None
    assert ended.disconnect.code == 404
    await scene.call.park()
    await asyncio.gather(*(phone.call(SLOT) for phone in phones))
    await until(lambda: scene.told, "one has him")
    await until(lambda: any(p.state is CallState.DISCONNECTED for p in phones), "one has not")
    lost = next(phone for phone in phones if phone.state is CallState.DISCONNECTED)
    assert lost.last_disconnect is not None
    assert lost.last_disconnect.code in {404, 486}
    won = next(phone for phone in phones if phone is not lost)
    await won.wait_state(CallState.CONFIRMED)
    await won.hangup()
    await scene.caller.wait_closed()


@pytest.mark.parametrize("later_s", [0.0, 0.01, 0.02, 0.03])
async def test_he_hangs_up_as_he_is_fetched(pbx: Pbx, later_s: float) -> None:
    scene = await Scene.begin(pbx)
    await scene.call.park(stay=True)
    loop, hung_up = asyncio.get_running_loop(), asyncio.Event()
    loop.call_later(later_s, hung_up.set)

    async def hangs_up() -> None:
        await hung_up.wait()
        await scene.caller.hangup()

    phone, _ = await asyncio.gather(scene.fetch(), hangs_up())
    # Whoever fetched him is left alone with nobody, not even with the agent.
    async with asyncio.timeout(5):
        await phone.wait_closed()
        await scene.call.wait_ended()
    assert scene.client.parked == ()


async def test_what_cannot_be_parked(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx)
    call = scene.call
    with pytest.raises(BadArgumentError, match="no number that a phone can dial"):
        await call.park("7 1")
    with pytest.raises(BadArgumentError, match="'callee' is not on the call"):
        await call.park(name="callee")
    with pytest.raises(BadArgumentError, match="by='callee'"):
        await call.park(by="callee")
    await call.park("7110")
    with pytest.raises(CommandInProgressError, match="is parked"):
        await call.park("7111")
    second = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=None))
    other = await scene.program.next_call()
    with pytest.raises(InvalidStateError, match="nobody to park yet"):
        await other.park()
    await other.answer()
    with pytest.raises(BadArgumentError, match=f"slot 7110 is taken, by call {call.call_id}"):
        await other.park("7110")
    assert await other.park() == SLOT
    await scene.caller.hangup()
    await until(lambda: call.end_reason, "the call is over")
    left = [(SLOT, other.call_id, "caller")]
    await until(lambda: slots(scene.client.parked) == left, "the other one waits on")
    with pytest.raises(CallClosedError):
        await call.park()
    assert call.parked_in is None
    await second.hangup()
    await until(lambda: not scene.client.parked, "nobody is parked")


async def test_all_slots_are_taken(pbx: Pbx) -> None:
    program = await pbx.program(parking_slots=["7115"])
    calls = []
    for _ in range(2):
        await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=None))
        calls.append(await program.next_call())
        await calls[-1].answer()
    assert await calls[0].park() == "7115"
    with pytest.raises(InvalidStateError, match="all 1 slots are taken"):
        await calls[1].park()
    await calls[0].unpark()
    assert await calls[1].park() == "7115"
