"""A call of two, and a supervisor beside it: the runtime's parts without an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import numpy as np

from bridge.ari import AriConnection, AriSettings, events
from bridge.ari.generated.events import AnyMessage
from bridge.lab.ears import DirectParty
from bridge.lab.waiting import until
from bridge.model.audibility import Audience, Observation
from bridge.model.participants import CALLEE, CALLER, PARTIES, Participant, participant
from bridge.model.states import HangupCause
from bridge.runtime.arrivals import Arrivals
from bridge.runtime.executor import Executor
from bridge.runtime.names import Names, new_call_id
from bridge.runtime.seat import Access, Present, Rung, Seat, SeatFact, read_access
from bridge.topology.objects import cue_key
from tests.support.pbx import Pbx

APPLICATION = "callbridge"
SUPERVISOR = participant("supervisor")
NOBODY: frozenset[Participant] = frozenset()


def loudest(party: DirectParty) -> int:
    """Return the greatest sample that a party heard; 0 is digital silence."""
    pcm = party.pcm()
    return int(np.abs(pcm.astype(np.int32)).max()) if len(pcm) else 0


class Supervisor:
    """A Sitter: one observer with a seat, and what was posted to him."""

    def __init__(self, office: Office) -> None:
        self.name = SUPERVISOR
        self.executor = office.executor()
        self.facts: list[SeatFact] = []
        self.digits = ""
        self.on_digit: Callable[[str], object] = lambda _digit: None
        self.seat: Seat | None = None
        self._office = office

    def was_told(self, digits: int) -> bool:
        """Whether that many keys of his were told."""
        return len(self.digits) == digits

    def post(self, event: SeatFact, /) -> None:
        self.facts.append(event)

    async def sit(self, origin: Rung | Present) -> Seat:
        self.seat = Seat(self._office.ari, origin)
        await self.seat.take(self)
        return self.seat

    async def fact(self, within_s: float = 5.0) -> SeatFact:
        """Wait for the one fact about the attempt."""
        await until(lambda: self.facts, "a fact about the seat", within_s=within_s)
        (fact,) = self.facts
        return fact

    async def observe(self, heard_by: frozenset[Participant] = NOBODY) -> None:
        """Have lines to both parties, and be heard by ``heard_by``."""
        self.executor.borrow_legs({who: leg.channel_id for who, leg in self._office.call.items()})
        await self.executor.converge(
            Observation(SUPERVISOR, PARTIES, hears=PARTIES, heard_by=heard_by, seated=True)
        )

    async def cue_channel(self) -> str:
        """Return the id of the snoop that cues are played on."""
        for channel in await self._office.ari.channels.list():
            name = self._office.names.read(channel.id)
            if name is not None and name.key == cue_key(SUPERVISOR):
                return channel.id
        raise LookupError("the supervisor has no cue snoop")


class Office:
    """One application, a call in it, and its supervisors."""

    def __init__(self, pbx: Pbx, stack: AsyncExitStack) -> None:
        info = pbx.instance.info.ari
        self.names = Names(APPLICATION)
        self.accesses: list[Access] = []
        self.left: set[str] = set()
        self.deaf = False
        """No seat is told of the end of a channel."""
        self.call: dict[Participant, DirectParty] = {}
        self.supervisors: list[Supervisor] = []
        self._pbx = pbx
        self._stack = stack
        self._arrivals = Arrivals()
        self._came: set[str] = set()
        settings = AriSettings(info.url, info.username, info.password, APPLICATION)
        self.ari = AriConnection(settings, on_event=self._dispatch)

    def executor(self) -> Executor:
        executor = Executor(
            self.ari,
            self._arrivals,
            self.names,
            new_call_id(),
            application=APPLICATION,
            programs={},
        )
        self._stack.push_async_callback(executor.tear_down, HangupCause.NORMAL)
        return executor

    def supervisor(self) -> Supervisor:
        self.supervisors.append(Supervisor(self))
        return self.supervisors[-1]

    async def party(self, number: str) -> DirectParty:
        """Have a silent party come in."""
        party = await self._pbx.keep(
            DirectParty.call(self._pbx.instance.info.ari, number, tone=None)
        )
        await until(lambda: party.channel_id in self._came, "the party is in the application")
        return party

    async def connect(self) -> tuple[DirectParty, DirectParty]:
        """Connect a caller and a callee, both silent."""
        executor = self.executor()
        for who, number in ((CALLER, "1001"), (CALLEE, "1002")):
            self.call[who] = await self.party(number)
            executor.add_leg(who, self.call[who].channel_id)
        await executor.converge(Audience(PARTIES))
        return self.call[CALLER], self.call[CALLEE]

    async def access(self) -> Access:
        """Wait for somebody who dials the access code."""
        await until(lambda: self.accesses, "the access code is dialled")
        return self.accesses[-1]

    def _dispatch(self, event: AnyMessage) -> None:
        match event:
            case events.StasisStart(channel=channel):
                self._came.add(channel.id)
                access = read_access(event)
                if not self._arrivals.enter(channel.id) and access is not None:
                    self.accesses.append(access)
            case events.StasisEnd(channel=channel):
                self.left.add(channel.id)
            case events.ChannelStateChange(channel=channel) if channel.state == "Up":
                for seat in self._seats():
                    seat.channel_up(channel.id)
            case events.ChannelDestroyed(channel=channel, cause=cause, cause_txt=text):
                for seat in () if self.deaf else self._seats():
                    seat.channel_gone(channel.id, cause, text)
            case events.ChannelDtmfReceived(channel=channel, digit=digit):
                self._pressed(channel.id, digit)
            case _:
                pass

    def _pressed(self, channel_id: str, digit: str) -> None:
        for supervisor in self.supervisors:
            if supervisor.executor.party_of(channel_id) == SUPERVISOR:
                supervisor.digits += digit
                supervisor.on_digit(digit)

    def _seats(self) -> list[Seat]:
        return [each.seat for each in self.supervisors if each.seat is not None]


async def frames_pass(*parties: DirectParty, count: int = 25) -> None:
    """Wait until everybody has heard as many frames more (20 ms each)."""
    wanted = [len(party.frames) + count for party in parties]
    await asyncio.gather(*(party.wait_frames(n) for party, n in zip(parties, wanted, strict=True)))
