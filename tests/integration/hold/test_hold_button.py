"""The hold button of real phones: who is left alone hears music until the other is back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.phones import CallState, Phone, Tone
from bridge.lab.waiting import until
from bridge.model.participants import Participant
from bridge.sdk import ActiveCall, Client, events
from tests.audio.machine import remeasured
from tests.integration.hold.music import GAP_MS, frames, hears, longest_gap_ms
from tests.support.child import child
from tests.support.conference import HZ
from tests.support.pbx import CALLER_TONE, SENT_DBFS, Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones, pytest.mark.quiet]


@dataclass
class Scene:
    """A direct party, who calls, and a real phone that is called; both say their tones."""

    pbx: Pbx
    call: ActiveCall
    caller: DirectParty
    phone: Phone
    changes: list[str]

    @classmethod
    async def begin(cls, pbx: Pbx) -> Scene:
        program = await pbx.program(route=lambda _call: "1001")
        phone = await pbx.phone("1001", source=Tone(HZ["callee"], SENT_DBFS))
        caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1001", tone=CALLER_TONE))
        call = await program.next_call()
        await call.connect()
        await phone.wait_state(CallState.CONFIRMED)
        scene = cls(pbx, call, caller, phone, [])
        call.on(events.PARTY_CHANGED, lambda _call, name: scene.changes.append(name))
        await hears(caller, {"callee"})
        return scene

    def is_(self, what: str, name: str) -> bool:
        return bool(getattr(next(p for p in self.call.parties if p.name == name), what))

    async def away(self) -> None:
        await self.phone.hold()
        await until(lambda: self.is_("away", "callee"), "the phone is on hold")

    async def back(self) -> None:
        await self.phone.unhold()
        await until(lambda: not self.is_("away", "callee"), "the phone is back")


@remeasured
async def test_who_is_left_alone_hears_music(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx)
    for _ in range(2):
        await scene.away()
        await until(lambda: scene.is_("held", "caller"), "the caller is on hold")
        await hears(scene.caller, {"default"})
        scene.caller.clear()
        await frames(scene.caller, 0.5)
        await scene.back()
        await until(lambda: not scene.is_("held", "caller"), "the caller is back")
        await hears(scene.caller, {"callee"})
    assert scene.changes == ["callee", "caller"] * 4
    assert longest_gap_ms(scene.caller, *_span(scene.caller)) <= 2 * GAP_MS


@remeasured
async def test_who_is_on_hold_by_command_stays_so(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx)
    # First the command, then the button.
    await scene.call.hold("caller", music="jazz")
    await scene.away()
    await scene.back()
    await hears(scene.caller, {"jazz"})
    await scene.call.unhold("caller")
    # First the button, then the command.
    await scene.away()
    await until(lambda: scene.is_("held", "caller"), "the caller is on hold")
    await scene.call.hold("caller", music="blues")
    await hears(scene.caller, {"blues"})
    await scene.back()
    await hears(scene.caller, {"blues"})
    await scene.call.unhold("caller")
    await hears(scene.caller, {"callee"})
    # Whoever is brought back by command is not held again, until the button is pressed again.
    await scene.away()
    await until(lambda: scene.is_("held", "caller"), "the caller is on hold")
    await scene.call.unhold("caller")
    await hears(scene.caller, set())
    await scene.back()
    await scene.away()
    await until(lambda: scene.is_("held", "caller"), "the caller is on hold again")
    await hears(scene.caller, {"default"})


@remeasured
async def test_where_two_are_left_they_talk_on(pbx: Pbx) -> None:
    scene = await Scene.begin(pbx)
    await scene.away()
    await until(lambda: scene.is_("held", "caller"), "the caller is on hold")
    adding = asyncio.create_task(scene.call.add(CALLEE_ENDPOINT, name="expert"))
    leg = await _leg(scene, "expert")
    expert = await pbx.keep(
        DirectParty.answer(pbx.instance.info.ari, leg, tone=Tone(HZ["expert"], SENT_DBFS))
    )
    await adding
    await until(lambda: not scene.is_("held", "caller"), "the caller is back")
    await hears(scene.caller, {"expert"})
    await hears(expert, {"caller"})
    await scene.call.remove("expert")
    await until(lambda: scene.is_("held", "caller"), "the caller is on hold again")
    await hears(scene.caller, {"default"})
    await scene.back()
    await hears(scene.caller, {"callee"})


async def test_with_the_ai_alone_it_is_told(pbx: Pbx) -> None:
    program = await pbx.program()
    phone = await pbx.phone("1001")
    await phone.call("1002")
    call = await program.next_call()
    changes: list[str] = []
    call.on(events.PARTY_CHANGED, lambda _call, name: changes.append(name))
    await call.answer()
    await phone.wait_state(CallState.CONFIRMED)
    await phone.hold()
    await until(lambda: call.parties[0].away, "the caller is away")
    await phone.unhold()
    await until(lambda: not call.parties[0].away, "the caller is back")
    assert changes == ["caller", "caller"]
    assert not call.parties[0].held


async def _leg(scene: Scene, name: str) -> str:
    def channel() -> str | None:
        return scene.call._engine.executor.channel_of(Participant(name))

    await until(channel, f"{name} is rung")
    found = channel()
    assert found is not None
    return found


def _span(party: DirectParty) -> tuple[float, float]:
    return party.frames[0][0], party.frames[-1][0]


@remeasured
@pytest.mark.parametrize("back", ["meanwhile", "afterwards"])
async def test_the_program_is_killed_while_a_phone_is_on_hold(pbx: Pbx, back: str) -> None:
    async with child(pbx, "tests.integration.hold.program") as program:
        phone = await pbx.phone("1001", source=Tone(HZ["callee"], SENT_DBFS))
        caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1001", tone=CALLER_TONE))
        await program.says("connected")
        await phone.hold()
        await program.says("away")
        await hears(caller, {"default"})
        await program.die()
        if back == "meanwhile":
            await phone.unhold()
            await hears(caller, {"default"})
    ari = pbx.instance.info.ari
    client = Client(ari.url, ari.username, ari.password, sample_rate=16000, probe=False)
    calls: list[ActiveCall] = []
    client.on(events.CALL_RESUMED, calls.append)
    async with client:
        await until(lambda: calls, "the call is told of")
        if back == "afterwards":
            assert {party.name for party in calls[0].parties if party.away} == {"callee"}
            await hears(caller, {"default"})
            await phone.unhold()
        await until(lambda: not any(p.away or p.held for p in calls[0].parties), "all are back")
        await hears(caller, {"callee"})
        await calls[0].disconnect(cut=True)
