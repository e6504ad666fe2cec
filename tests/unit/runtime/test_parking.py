"""A place where a call is parked: what comes between, and what fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from bridge.lab.waiting import until
from bridge.model.errors import (
    CallbridgeError,
    CommandInProgressError,
    ServerError,
    ServerUnreachableError,
)
from bridge.model.ids import CallId
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.runtime import parking as parking_module
from bridge.runtime.engine import CallEngine
from bridge.runtime.incoming import IncomingCall
from bridge.runtime.notes import Notes
from bridge.runtime.parking import NOTE, PARKER, Host, Parking, Retrieval
from bridge.runtime.tasks import Tasks
from bridge.runtime.transfers import Transfers
from bridge.session import Phase, Session, inputs, step
from bridge.session.inputs import Token
from bridge.session.state import Standing

CALL = CallId("0123456789ab")
SLOT = "7101"


class Call:
    """A call whose commands are done at once, unless they are held up or fail."""

    def __init__(self, *parties: Participant) -> None:
        self.incoming = IncomingCall(CALL, "1", "PJSIP/1001-1", "1001", "", "1002")
        self.session = Session(phase=Phase.CONNECTED, parties=frozenset(parties))
        self.notes = Notes()
        self.on_change: list[Callable[[], None]] = []
        self.agent = None
        self.posted: list[object] = []
        self.fails: Callable[[object], CallbridgeError | None] = lambda _command: None
        self.go = asyncio.Event()
        self.go.set()

    def post(self, event: object) -> None:
        self.posted.append(event)

    def bring(self, party: Participant, channel_id: str, name: str) -> None:
        del party, channel_id, name

    def endpoint_of(self, party: Participant) -> str:
        return f"PJSIP/{party}"

    async def command(self, make: Callable[[Token], inputs.Command]) -> None:
        await self.go.wait()
        command = make(Token(1))
        if (error := self.fails(command)) is not None:
            raise error
        if isinstance(command, inputs.Arrange):
            self.session, _ = step(self.session, command)
            self.session, _ = step(self.session, inputs.AudienceStands())
        for listener in self.on_change:
            listener()

    @property
    def engine(self) -> CallEngine:
        return cast("CallEngine", self)


class Phones:
    """A host: what is asked of channels."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.channels = self
        self.answering = asyncio.Event()
        self.go = asyncio.Event()
        self.hung_up: list[tuple[str, str]] = []
        self.fails: ServerError | None = None
        self.transfers = Transfers(cast("Any", self))

    @property
    def ari(self) -> Any:
        return self

    def spawn(self, work: Any, name: str) -> Callable[[], None]:
        return self.tasks.spawn(work, name)

    async def answer(self, *, channel_id: str) -> None:
        del channel_id
        self.answering.set()
        await self.go.wait()
        if self.fails is not None:
            raise self.fails

    async def hangup(self, *, channel_id: str, reason_code: str) -> None:
        self.hung_up.append((channel_id, reason_code))


def parked_lot(phones: Phones, call: Call) -> Parking:
    lot = Parking(cast("Host", phones))
    lot.attach(call.engine)
    return lot


async def test_the_time_is_over_while_he_is_being_fetched_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parking_module, "_AGAIN_SECONDS", 0.01)
    phones, call = Phones(), Call(CALLER)
    lot = parked_lot(phones, call)
    place, told = lot.place(CALL), []
    place.takes_back = lambda: True
    place.listeners.append(lambda notice, slot: told.append((notice, slot)))
    await place.park(CALLER, SLOT, by=None, seconds=0.01, stays=False)
    phones.fails = ServerUnreachableError("the phone has hung up")
    fetching = asyncio.create_task(lot.let_in(Retrieval("9", "PJSIP/1009-1", SLOT)))
    await phones.answering.wait()
    await until(lambda: not place.parked or lot.parked[0].seconds_left == 0, "the time is over")
    assert (told, place.parked is not None) == ([], True)
    phones.go.set()
    await fetching
    assert phones.hung_up == [("9", "41")]
    await until(lambda: told, "he goes back all the same")
    assert told == [("timed_out", SLOT)]
    assert (place.parked, lot.parked, NOTE in call.notes) == (None, (), False)
    assert call.session.standing.held == frozenset()
    await phones.tasks.end()


@pytest.mark.parametrize("joined", [False, True])
async def test_he_hangs_up_as_he_is_fetched(*, joined: bool) -> None:
    phones, call = Phones(), Call(CALLER)
    phones.go.set()
    lot = parked_lot(phones, call)
    place, told = lot.place(CALL), []
    place.listeners.append(lambda notice, who: told.append((notice, who)))
    await place.park(CALLER, SLOT, by=None, seconds=60, stays=True)

    def leaves(command: object) -> None:
        if isinstance(command, inputs.Arrange if joined else inputs.JoinParty):
            call.session, _ = step(call.session, inputs.PartyGone(CALLER, 16))

    call.fails = leaves
    await lot.let_in(Retrieval("9", "PJSIP/1009-1", SLOT))
    assert phones.hung_up == [("9", "1")]
    assert told == []
    lot.end(CALL)


@pytest.mark.parametrize("fails", [False, True])
async def test_whoever_gives_up_waiting_for_it_has_parked_him(*, fails: bool) -> None:
    phones, call = Phones(), Call(CALLER)
    lot = parked_lot(phones, call)
    call.go.clear()
    if fails:
        call.fails = lambda _command: ServerUnreachableError("no")
    parking = asyncio.create_task(
        lot.place(CALL).park(CALLER, SLOT, by=None, seconds=60, stays=False)
    )
    await until(lambda: lot.parked, "he is being parked")
    parking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await parking
    # Something else happens to the call before it takes the command.
    for listener in call.on_change:
        listener()
    assert lot.slot_of(CALL) == SLOT
    call.go.set()
    await until(lambda: not lot.reserved, "it is done, or it is not")
    assert (lot.slot_of(CALL), NOTE in call.notes) == ((None, False) if fails else (SLOT, True))
    assert call.session.kept is not fails
    lot.end(CALL)


async def test_whoever_is_rung_and_cannot_be_put_together_with_him_is_let_go() -> None:
    phones, call = Phones(), Call(CALLER, CALLEE)
    lot = parked_lot(phones, call)
    place = lot.place(CALL)
    await place.park(CALLER, SLOT, by=CALLEE, seconds=0.01, stays=False)
    failure = ServerUnreachableError("no")
    call.fails = lambda command: failure if isinstance(command, inputs.Arrange) else None
    await until(lambda: call.posted, "it failed")
    (removal,) = call.posted
    assert isinstance(removal, inputs.RemoveParty)
    assert removal.party == PARKER
    assert lot.slot_of(CALL) == SLOT
    lot.end(CALL)
    await phones.tasks.end()


async def test_who_is_parked_is_not_transferred() -> None:
    phones, call = Phones(), Call(CALLER)
    lot = parked_lot(phones, call)
    phones.transfers.require_none(call.engine)
    await lot.place(CALL).park(CALLER, SLOT, by=None, seconds=60, stays=False)
    with pytest.raises(CommandInProgressError, match=f"is parked in {SLOT}"):
        phones.transfers.require_none(call.engine)
    await lot.place(CALL).take_back()
    phones.transfers.require_none(call.engine)
    lot.end(CALL)


async def test_a_call_that_a_phone_transfers_is_neither_parked_nor_transferred() -> None:
    phones, call = Phones(), Call(CALLER, CALLEE)
    lot = parked_lot(phones, call)
    call.session = replace(call.session, standing=Standing(kept=True))
    with pytest.raises(CommandInProgressError, match="is being transferred"):
        await lot.place(CALL).park(CALLER, SLOT, by=None, seconds=60, stays=False)
    with pytest.raises(CommandInProgressError, match="is being transferred"):
        phones.transfers.require_none(call.engine)
    assert lot.slot_of(CALL) is None
    assert not lot.reserved
    assert not call.session.standing.held
    lot.end(CALL)


async def test_of_two_who_park_at_once_one_does() -> None:
    phones, call = Phones(), Call(CALLER)
    lot = parked_lot(phones, call)
    place = lot.place(CALL)
    both = (place.park(CALLER, slot, by=None, seconds=60, stays=False) for slot in (SLOT, "7102"))
    done = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in done] == [str, CommandInProgressError]
    assert lot.slot_of(CALL) == SLOT
    lot.end(CALL)
