"""A call with a real phone at one end, which transfers it; the others are direct parties."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from bridge.ari import models
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.phones import CallState, Codec, Phone, Tone
from bridge.lab.waiting import until
from bridge.runtime.transfer_policy import TransferKind, TransferRequest, Verdict
from bridge.sdk import ActiveCall
from tests.support.conference import HZ, Conference, Pairs
from tests.support.pbx import CALLER_TONE, SENT_DBFS, Pbx, Program, until_true

PHONE = "1001"
HUMAN = "1004"
"""What the phone dials for whom the policy, or the route, makes a direct party."""


@dataclass
class Desk:
    """A connected call. The phone is never measured, but everybody else hears what it says.

    ``seat``: what its owner is in the call, caller or callee; ``other``: who talks with him.
    """

    pbx: Pbx
    program: Program
    call: ActiveCall
    phone: Phone
    seat: str
    conference: Conference
    requests: list[TransferRequest] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @classmethod
    async def begin(cls, pbx: Pbx, seat: str = "callee", **arguments: Any) -> Desk:
        """Let a phone and a direct party talk; arguments as in Client."""
        requests: list[TransferRequest] = []

        def policy(request: TransferRequest) -> Verdict:
            requests.append(request)
            blind = request.kind is TransferKind.BLIND
            return CALLEE_ENDPOINT if blind and request.target == HUMAN else True

        def route(call: ActiveCall) -> str:
            return PHONE if call.callee_number == PHONE else CALLEE_ENDPOINT

        program = await pbx.program(**{"transfer_policy": policy, "route": route, **arguments})
        tone = Tone(HZ[seat], SENT_DBFS)
        phone = await pbx.phone(PHONE, source=tone, codec=Codec.L16_16000)
        begin = cls._called if seat == "callee" else cls._calling
        call, conference = await begin(pbx, program, phone)
        desk = cls(pbx, program, call, phone, seat, conference, requests)
        await phone.wait_state(CallState.CONFIRMED)
        await desk.hears({(desk.other, seat)})
        return desk

    @staticmethod
    async def _called(pbx: Pbx, program: Program, _phone: Phone) -> tuple[ActiveCall, Conference]:
        caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, PHONE, tone=CALLER_TONE))
        call = await program.next_call()
        await call.connect()
        return call, Conference(pbx, call, {"caller": caller})

    @staticmethod
    async def _calling(pbx: Pbx, program: Program, phone: Phone) -> tuple[ActiveCall, Conference]:
        await phone.call("1002")
        call = await program.next_call()
        connecting = asyncio.create_task(call.connect())
        conference = Conference(pbx, call)
        try:
            conference.people["callee"] = await conference.pick_up("callee")
            await connecting
        finally:
            connecting.cancel()
        return call, conference

    @property
    def other(self) -> str:
        """Who talks with the phone."""
        return {"caller": "callee", "callee": "caller"}[self.seat]

    @property
    def other_party(self) -> DirectParty:
        """His audio."""
        return self.conference.people[self.other]

    async def hears(self, expected: Pairs, *, music: Collection[str] = ()) -> None:
        """Fail unless the direct parties hear exactly this, and exactly ``music`` hear music."""
        await self.conference.parties_hear(expected, *music)
        await self.conference.has_music(music)

    async def transfer(self, number: str = HUMAN) -> None:
        """Let the phone transfer blindly; returns when whoever stays behind hears music."""
        await self.phone.transfer(number)
        await until(lambda: self.is_held(self.other), f"{self.other} is on hold")

    async def answer(self) -> DirectParty:
        """Let the human pick up."""
        self.conference.people["human"] = await self.conference.pick_up("human")
        return self.conference.people["human"]

    async def consult(self) -> ActiveCall:
        """Let the phone call a second one, who answers; return the consult call."""
        await self.phone.consult(HUMAN)
        consult = await self.program.next_call()
        connecting = asyncio.create_task(consult.connect())
        try:
            leg = await self.pbx.callee_leg(consult)
            tone = Tone(HZ["human"], SENT_DBFS)
            ari = self.pbx.instance.info.ari
            human = await self.pbx.keep(DirectParty.answer(ari, leg, tone=tone))
            self.conference.people["human"] = human
            await connecting
        finally:
            connecting.cancel()
        await self.phone.wait_state(CallState.CONFIRMED)
        return consult

    def is_held(self, name: str) -> bool:
        """Whether a party is on hold, as the program is told."""
        return any(party.name == name and party.held for party in self.call.parties)

    def names(self) -> set[str]:
        """Who is on the call, as the program is told."""
        return {party.name for party in self.call.parties}

    def results(self) -> list[str]:
        """What the audit says of phones' transfers."""
        records = self.program.client.audit.records
        return [record.result for record in records if record.by == "phone"]

    async def phone_is_idle(self) -> None:
        """Wait until all calls of the phone have ended."""
        calls = self.phone.calls
        await until(lambda: all(c.disconnect for c in self.phone.calls), f"{len(calls)} calls end")

    async def nobody_rings(self) -> None:
        """Wait until no leg of the call is there but those of the parties."""

        async def gone() -> bool:
            return not [c for c in await self._legs() if c.state != "Up"]

        await until_true(gone, "nobody is rung any more")

    async def _legs(self) -> list[models.Channel]:
        return [c for c in await self.pbx.listed() if f"{self.call.call_id}-leg." in c.id]
