"""Parking: somebody waits with music, alone, until a phone dials the slot that he is in.

``Stasis(app,retrieve,SLOT)`` is what the dialplan does for a slot's number. What is to be known of
a parked call after a restart is in its notes; the time that is left runs on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from bridge.ari import AriConnection, events
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    CallClosedError,
    CommandInProgressError,
    InvalidStateError,
    RequestFailedError,
    ServerError,
)
from bridge.model.ids import CallId
from bridge.model.modes import SPY
from bridge.model.participants import AGENT, CALLER, Participant
from bridge.model.states import HangupCause
from bridge.runtime.engine import CallEngine
from bridge.runtime.pending import NOBODY
from bridge.runtime.transfers import Transfers
from bridge.session import inputs
from bridge.session.conference import is_taken

_log = logging.getLogger(__name__)

SLOTS: Final = tuple(str(number) for number in range(7101, 7121))
"""The numbers that are used when none is asked for."""

NOTE: Final = "parked"
RETRIEVER: Final = "retriever"
"""The party who dialled the slot."""
PARKER: Final = "parker"
"""The party who is rung when the time is over."""

_SLOT = re.compile(r"[0-9A-Za-z*#_-]{1,16}")
_RING_SECONDS: Final = 30
_AGAIN_SECONDS: Final = 1.0
_GONE: Final = {404, 409}

Clock = Callable[[], float]


class ParkingNotice(StrEnum):
    """What becomes of a parked call."""

    RETRIEVED = "retrieved"
    """Somebody talks with who was parked: by the slot, or rung when the time was over."""
    TIMED_OUT = "timed_out"
    """The agent has him again."""


class Parked(msgspec.Struct, frozen=True):
    """One who is parked. until: seconds since 1970, from when on he goes back to who parked him."""

    slot: str
    party: Participant
    until: float
    seconds: float
    """How long he may be parked, each time."""
    endpoint: str = ""
    """Who is rung then, as Asterisk dials it; empty: nobody."""
    stays: bool = False
    """The agent listens on when he is retrieved."""


@dataclass(frozen=True, slots=True)
class ParkedCall:
    """A parked call, as a program sees it."""

    slot: str
    call_id: CallId
    party: str
    caller_number: str
    caller_name: str
    seconds_left: float
    since: float = 0.0
    """Seconds since 1970: when he was parked, or was rung in vain and parked again."""
    until: float = 0.0
    """Seconds since 1970: from when on he goes back to who parked him."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Somebody dialled a slot."""

    channel_id: str
    channel_name: str
    slot: str


def checked_slots(slots: Collection[str]) -> tuple[str, ...]:
    """Return slots as they are. Raises BadArgumentError for what no phone can dial."""
    if isinstance(slots, str):
        raise BadArgumentError(f"slots are {slots!r}: give a list, [{slots!r}]")
    for slot in slots:
        if not _SLOT.fullmatch(slot):
            raise BadArgumentError(f"slot={slot!r} is no number that a phone can dial")
    return tuple(slots)


def read_retrieval(event: events.StasisStart) -> Retrieval | None:
    """Read a slot from a channel's first event; None when that is another channel."""
    if event.args[:1] != ("retrieve",):
        return None
    slot = event.args[1] if len(event.args) > 1 else ""
    return Retrieval(event.channel.id, event.channel.name, slot)


class Host(Protocol):
    """Who has the link and owns tasks: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def transfers(self) -> Transfers:
        """All transfers."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it."""


class Place:
    """Where a call is parked, or may be; one for each call.

    Its commands are one at a time: while who was parked is being joined with somebody, nobody else
    gets him.
    """

    def __init__(self, call: CallEngine, host: Host, lot: Parking) -> None:
        self.call = call
        self.listeners: list[Callable[[ParkingNotice, str], None]] = []
        """Told what became of it, and the name of who retrieved it or the slot. Must not block."""
        self.takes_back: Callable[[], bool] = lambda: False
        """Asked, when the time is over, whether somebody deals with who is back with the agent."""
        self._host = host
        self._lot = lot
        self._busy = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self.parked: Parked | None = None
        if NOTE in call.notes:
            self._take_up(call.notes[NOTE])
        call.on_change.append(self._changed)

    def _take_up(self, note: str) -> None:
        try:
            self.parked = msgspec.json.decode(note, type=Parked)
        except msgspec.MsgspecError as error:
            _log.warning("call %s: where it is parked is not understood: %s", self._id, error)
            del self.call.notes[NOTE]
            return
        self._set_timer(self.parked)

    async def park(
        self, party: Participant, slot: str | None, *, by: str | None, seconds: float, stays: bool
    ) -> str:
        """Put a party to a slot: the others leave, and the agent falls silent. Return the slot.

        by: another party, who is rung when the time is over; AGENT: it has him back then; None: the
        only other party, else the agent. Raises CommandInProgressError while it is being
        transferred or is parked, BadArgumentError, InvalidStateError when all slots are taken,
        CallClosedError, and what the call refuses it with: nothing has changed then.
        """
        parking = asyncio.ensure_future(self._park(party, slot, by, seconds, stays=stays))
        try:
            return await asyncio.shield(parking)
        except asyncio.CancelledError:
            # Nobody waits for the command any more, which is carried out all the same.
            parking.add_done_callback(self._parked_for_nobody)
            raise

    async def _park(
        self, party: Participant, slot: str | None, by: str | None, seconds: float, *, stays: bool
    ) -> str:
        if self._busy.locked() or self.parked is not None:
            raise CommandInProgressError(f"call {self._id} is parked: take it back first")
        # Also by a phone, which no transfer of ours stands for.
        if self._host.transfers.of(self._id) is not None or self.call.session.standing.kept:
            raise CommandInProgressError(f"call {self._id} is being transferred")
        async with self._busy:
            session = self.call.session
            if not session.agent_present:
                raise CallClosedError("the call is over, or the agent has left it")
            if not session.parties:
                raise InvalidStateError("nobody to park yet: answer() or connect() comes first")
            if party not in session.parties:
                raise BadArgumentError(
                    f"{party!r} is not on the call; there are: {', '.join(sorted(session.parties))}"
                )
            endpoint = self._endpoint_of(by, session.parties - {party})
            free = self._lot.reserve(slot, self)
            self.parked = Parked(free, party, time.time() + seconds, seconds, endpoint, stays)
            try:
                await self._arrange(held={party}, leaving=session.parties - {party}, kept=True)
            except BaseException:
                self.parked = None
                raise
            finally:
                self._lot.reserved.discard(free)
            self._keep(self.parked)
        _log.info("call %s: %s is parked in %s", self._id, party, free)
        return free

    async def take_back(self) -> None:
        """Give who is parked back to the agent.

        Raises InvalidStateError when nobody is parked, CommandInProgressError when somebody else is
        just getting him, ServerError.
        """
        if self.parked is None:
            raise InvalidStateError(f"call {self._id} is not parked")
        if self._busy.locked():
            raise CommandInProgressError(f"call {self._id} is just being retrieved")
        async with self._busy:
            await self._together(self.parked)

    async def retrieve(self, channel_id: str, channel_name: str) -> None:
        """Join a phone, which has dialled the slot, with who is parked.

        Raises CommandInProgressError when somebody else was faster, and what joining raises.
        """
        parked = self.parked
        if parked is None or self._busy.locked():
            raise CommandInProgressError(f"call {self._id} has just been retrieved")
        async with self._busy:
            await self._host.ari.channels.answer(channel_id=channel_id)
            name = self._free_name(RETRIEVER)
            self.call.bring(name, channel_id, channel_name)
            await self.call.command(lambda token: inputs.JoinParty(token, name))
            await self._retrieved(parked, name)

    def end(self) -> None:
        """The call is over, or the program leaves it as it is: nothing more is done."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- inside -----------------------------------------------------------------------------------

    def _parked_for_nobody(self, parking: asyncio.Task[str]) -> None:
        if not parking.cancelled() and (error := parking.exception()) is not None:
            _log.warning("call %s is not parked: %s", self._id, error)

    @property
    def _id(self) -> CallId:
        return self.call.incoming.call_id

    def _endpoint_of(self, by: str | None, others: frozenset[Participant]) -> str:
        if by == AGENT or (by is None and len(others) != 1):
            return ""
        who = next(iter(others)) if by is None else Participant(by)
        if who not in others:
            there = ", ".join([*sorted(others), AGENT])
            raise BadArgumentError(f"by={by!r}: one of {there}")
        if who == CALLER:
            return self.call.incoming.channel_name.rpartition("-")[0]
        return self.call.endpoint_of(who)

    def _free_name(self, wanted: str) -> Participant:
        names = [wanted, *(f"{wanted}{number}" for number in range(2, 10))]
        return next(
            name for name in map(Participant, names) if not is_taken(self.call.session, name)
        )

    def _keep(self, parked: Parked) -> None:
        """Note that he is parked, for the next program, too; the agent falls silent."""
        self._note(parked)
        self._set_timer(parked)
        if self.call.agent is not None and self.call.session.agent_present:
            self.call.post(inputs.ChangeMode(NOBODY, SPY, cut=True))

    def _note(self, parked: Parked) -> None:
        self.parked = parked
        self.call.notes[NOTE] = msgspec.json.encode(parked).decode()

    def _changed(self) -> None:
        """Should he not wait any more, whatever the reason, his slot is free."""
        parked = self.parked
        if parked is None or self._busy.locked():
            return
        session = self.call.session
        waits = parked.party in session.standing.held and session.kept
        if not waits or session.phase.is_over:
            self._free()

    def _free(self) -> None:
        self.parked = None
        self.call.notes.pop(NOTE, None)
        self.end()

    def _set_timer(self, parked: Parked, *, at_least: float = 0.0) -> None:
        left = max(at_least, parked.until - time.time())
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(left, self._time_is_over)

    def _time_is_over(self) -> None:
        self._host.spawn(self._give_back(), f"parked call {self._id}")

    async def _give_back(self) -> None:
        parked = self.parked
        if parked is None:
            return
        if self._busy.locked():
            # Somebody is just getting him; should that come to nothing, it is still due.
            self._set_timer(parked, at_least=_AGAIN_SECONDS)
            return
        async with self._busy:
            _log.info("call %s: nobody has fetched it from %s", self._id, parked.slot)
            try:
                if parked.endpoint and await self._ring(parked):
                    return
                if self.call.session.agent_present and self.takes_back():
                    await self._together(parked)
                    self._tell(ParkingNotice.TIMED_OUT, parked.slot)
                    return
            except CallbridgeError as error:
                _log.warning("call %s stays parked: %s", self._id, error.error_message)
        if self.parked is not None:
            _log.warning("call %s stays in %s: nobody takes it back", self._id, parked.slot)
            self._note(msgspec.structs.replace(parked, until=time.time() + parked.seconds))
            self._changed()
        if self.parked is not None:
            self._set_timer(self.parked)

    async def _ring(self, parked: Parked) -> bool:
        """Ring who parked; tell whether he has him back."""
        name = self._free_name(PARKER)
        try:
            await self.call.command(
                lambda token: inputs.AddParty(token, name, parked.endpoint, _RING_SECONDS)
            )
        except CallbridgeError as error:
            _log.info("call %s: %s: %s", self._id, parked.endpoint, error.error_message)
            return False
        try:
            await self._retrieved(parked, name)
        except CallbridgeError:
            # He would hear nobody.
            self.call.post(inputs.RemoveParty(NOBODY, name))
            raise
        return True

    async def _retrieved(self, parked: Parked, name: Participant) -> None:
        self._require_there(parked)
        await self._together(parked)
        self._require_there(parked)
        self._tell(ParkingNotice.RETRIEVED, name)
        if not parked.stays and self.call.session.agent_present:
            self.call.post(inputs.Close(NOBODY, cut=True))

    def _require_there(self, parked: Parked) -> None:
        if parked.party not in self.call.session.parties:
            raise CallClosedError(f"the {parked.party}, who was parked, has hung up meanwhile")

    async def _together(self, parked: Parked) -> None:
        held = self.call.session.standing.held - {parked.party}
        await self._arrange(held=held, leaving=frozenset(), kept=False)
        self._free()

    async def _arrange(
        self, *, held: Iterable[Participant], leaving: frozenset[Participant], kept: bool
    ) -> None:
        apart = self.call.session.standing.apart
        await self.call.command(
            lambda token: inputs.Arrange(token, frozenset(held), apart, leaving, kept)
        )

    def _tell(self, notice: ParkingNotice, what: str) -> None:
        for listener in list(self.listeners):
            listener(notice, what)


class Parking:
    """All slots of one controller, and who is in them."""

    def __init__(self, host: Host, slots: Iterable[str] = SLOTS) -> None:
        self.slots = tuple(slots)
        self.reserved: set[str] = set()
        """Slots to which somebody is on his way."""
        self._host = host
        self._places: dict[CallId, Place] = {}
        self._coming: set[str] = set()
        """Channels that have dialled a slot and are being dealt with."""
        host.transfers.parked_in = self.slot_of

    def attach(self, call: CallEngine) -> None:
        """Let a call be parked; one that is, by its notes, is parked again."""
        self._places[call.incoming.call_id] = Place(call, self._host, self)

    def end(self, call_id: CallId) -> None:
        """Forget a call that is over."""
        self._places.pop(call_id).end()

    def place(self, call_id: CallId) -> Place:
        """Return where a call, which is attached, is parked or may be."""
        return self._places[call_id]

    def slot_of(self, call_id: CallId) -> str | None:
        """Return where a call is parked; None when it is not."""
        place = self._places.get(call_id)
        return None if place is None or place.parked is None else place.parked.slot

    @property
    def parked(self) -> tuple[ParkedCall, ...]:
        """Who is parked, by slot."""
        found = [
            ParkedCall(
                parked.slot,
                place.call.incoming.call_id,
                parked.party,
                place.call.incoming.caller_number,
                place.call.incoming.caller_name,
                max(0.0, parked.until - time.time()),
                parked.until - parked.seconds,
                parked.until,
            )
            for place in self._places.values()
            if (parked := place.parked) is not None and not place.call.session.phase.is_over
        ]
        return tuple(sorted(found, key=lambda parked: parked.slot))

    def reserve(self, wanted: str | None, place: Place) -> str:
        """Choose a slot for a call. Raises BadArgumentError; InvalidStateError: none is free."""
        taken = {call.slot: call.call_id for call in self.parked}
        if wanted is None:
            free = (slot for slot in self.slots if slot not in taken and slot not in self.reserved)
            slot = next(free, None)
            if slot is None:
                raise InvalidStateError(f"all {len(self.slots)} slots are taken: name another")
        else:
            (slot,) = checked_slots([wanted])
            if slot in taken or slot in self.reserved:
                whose = taken.get(slot, place.call.incoming.call_id)
                raise BadArgumentError(f"slot {slot} is taken, by call {whose}: choose another")
        self.reserved.add(slot)
        return slot

    async def let_in(self, retrieval: Retrieval) -> None:
        """Join a phone that has dialled a slot; hang it up, with a cause, if nobody is there.

        Unallocated (SIP 404) for an empty slot, or when he hangs up as he is fetched; busy (486)
        when another is just getting him; temporary failure (503) when it could not be done. Nothing
        happens when his channel is told of twice.
        """
        if retrieval.channel_id in self._coming:
            return
        self._coming.add(retrieval.channel_id)
        try:
            await self._let_in(retrieval)
        finally:
            self._coming.discard(retrieval.channel_id)

    async def _let_in(self, retrieval: Retrieval) -> None:
        place = next((p for p in self._places.values() if _in(p, retrieval.slot)), None)
        if place is None:
            await self._turn_away(retrieval, HangupCause.UNALLOCATED, "nobody is parked there")
            return
        try:
            await place.retrieve(retrieval.channel_id, retrieval.channel_name)
        except CommandInProgressError as error:
            await self._turn_away(retrieval, HangupCause.BUSY, error.error_message)
        except CallClosedError as error:
            await self._turn_away(retrieval, HangupCause.UNALLOCATED, error.error_message)
        except CallbridgeError as error:
            await self._turn_away(retrieval, HangupCause.TEMPORARY_FAILURE, error.error_message)

    async def _turn_away(self, retrieval: Retrieval, cause: HangupCause, why: str) -> None:
        _log.info("%s gets nobody from %s: %s", retrieval.channel_name, retrieval.slot, why)
        try:
            await self._host.ari.channels.hangup(
                channel_id=retrieval.channel_id, reason_code=str(cause.value)
            )
        except ServerError as error:
            if not (isinstance(error, RequestFailedError) and error.status in _GONE):
                _log.warning("channel %s waits: %s", retrieval.channel_id, error)


def _in(place: Place, slot: str) -> bool:
    return place.parked is not None and place.parked.slot == slot
