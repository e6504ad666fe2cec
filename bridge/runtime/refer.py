"""Transfers that a party asks for at his phone: SIP REFER, blind or attended.

Asterisk hands a REFER to the application (ChannelTransfer) when that was asked for on the leg:
``PJSIP_TRANSFER_HANDLING()=ari-only``, from 22.3, 21.8 and 20.13, which every server has that is
good enough for us. Measured with 22.10.1:

- The phone gets 202 and "100 Trying" by itself, and is told the rest by ``transfer_progress``:
  ``channel_answered`` as 200, ``channel_declined`` as 603, ``channel_unavailable`` as 503. Nothing
  else happens to its leg: it is hung up when we do, or when the phone does so itself.
- Each of these comes back as a ChannelTransfer with a ``state`` when it was sent; and should the
  phone hang up before the last one, as one without a state, which looks like the request itself.
- Of the Refer-To address the event has the user part alone. It is dialled as a number; its host and
  its parameters mean nothing.
- What was not asked for is transferred by Asterisk itself ("core"): a Local channel takes the place
  of the leg, and the call is lost to us. It is turned away.
- ``Refer-Sub: false`` crashes Asterisk before 22.11, 23.5 and 20.21, when it comes on such a leg:
  there it is asked for on the legs of those phones alone that may transfer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Final, Protocol

from bridge.ari import AriConnection, events, models
from bridge.model.errors import (
    CallbridgeError,
    ErrorCode,
    RequestFailedError,
    ServerError,
)
from bridge.model.ids import CallId
from bridge.model.participants import Participant
from bridge.runtime import by_phone
from bridge.runtime.attended import connect, given_up
from bridge.runtime.engine import CallEngine
from bridge.runtime.handset import HandsetEvent
from bridge.runtime.transfer import TransferEngine
from bridge.runtime.transfer_policy import (
    Permit,
    TransferKind,
    TransferPolicy,
    TransferRequest,
    TransferSource,
)
from bridge.runtime.transfers import Transfers
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome, Tell, TransferNotice

_log = logging.getLogger(__name__)

NOTE: Final = "refer"
"""The key among the notes of a call under which stands whose phone has begun its transfer."""

_ECHO_SECONDS: Final = 0.5
_HANDLING = "PJSIP_TRANSFER_HANDLING()"

TRYING: Final = "channel_progress"
ANSWERED: Final = "channel_answered"
DECLINED: Final = "channel_declined"
UNAVAILABLE: Final = "channel_unavailable"

_REFUSED = {
    ErrorCode.CALL_DECLINED,
    ErrorCode.CALL_BUSY,
    ErrorCode.TRANSFER_DENIED,
    ErrorCode.COMMAND_IN_PROGRESS,
}
"""Why somebody was not had who could be reached, or why nobody was rung."""


class Host(Protocol):
    """Who has the link, the calls, and owns tasks: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def transfers(self) -> Transfers:
        """All transfers."""

    def engine_of(self, channel_id: str) -> CallEngine | None:
        """Return the call that a channel belongs to."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it."""


class Refers:
    """What phones ask for, on all calls of ours.

    ``on_transfer``: called with every transfer that a phone has begun.
    """

    def __init__(self, host: Host, policy: TransferPolicy) -> None:
        self._host = host
        self._policy = policy
        self.on_transfer: Callable[[CallEngine, TransferEngine], None] = lambda _call, _transfer: (
            None
        )

    def attach(self, engine: CallEngine) -> None:
        """Let the phones of a call's parties transfer it from now on, as far as they may."""
        phones = _Phones(engine, self._host, self._policy, lambda t: self.on_transfer(engine, t))
        engine.on_change.append(phones.prepare)
        engine.handset_listeners.append(phones.take)
        phones.prepare()


class _Phones:
    """The phones of one call."""

    def __init__(
        self,
        engine: CallEngine,
        host: Host,
        policy: TransferPolicy,
        on_transfer: Callable[[TransferEngine], None],
    ) -> None:
        self._engine = engine
        self._host = host
        self._policy = policy
        self._on_transfer = on_transfer
        self._asked: set[str] = set()
        """Ids of channels of which it was asked that Asterisk hands us what they ask for."""
        self._under_way: dict[str, str] = {}
        """What phones, by ids of their channels, are to be told when their transfers are over."""
        self._echoes: dict[tuple[str, str], asyncio.Event] = {}
        """Set when Asterisk says that a phone (id of its channel) was told a state."""

    @property
    def _call_id(self) -> CallId:
        return self._engine.incoming.call_id

    # --- legs -----------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Ask Asterisk to hand us what the phones of new parties ask for."""
        self._take_up()
        legs = map(self._engine.executor.channel_of, self._engine.session.parties)
        for channel_id in {leg for leg in legs if leg is not None} - self._asked:
            self._asked.add(channel_id)
            self._host.spawn(self._ask_for(channel_id), f"transfers by {channel_id}")

    async def _ask_for(self, channel_id: str) -> None:
        ari = self._host.ari
        try:
            name = (await ari.channels.get(channel_id=channel_id)).name
            endpoint = name.rpartition("-")[0]
            if not endpoint.startswith(by_phone.TECHNOLOGY):
                return
            if ari.capabilities.refer_sub or self._policy.phones.allows(endpoint):
                await ari.channels.set_channel_var(
                    channel_id=channel_id, variable=_HANDLING, value="ari-only"
                )
        except RequestFailedError as error:
            # He has hung up.
            _log.debug("call %s: no transfers by %s: %s", self._call_id, channel_id, error)
        except ServerError as error:
            _log.warning("call %s: no transfers by %s yet: %s", self._call_id, channel_id, error)
            self._asked.discard(channel_id)

    # --- requests -------------------------------------------------------------------------------

    def take(self, party: Participant, event: HandsetEvent) -> None:
        """A party did something at his phone."""
        if not isinstance(event, events.ChannelTransfer):
            return
        channel_id = event.referred_by.source_channel.id
        if event.state is not None:
            if (echo := self._echoes.get((channel_id, event.state))) is not None:
                echo.set()
            return
        if channel_id in self._under_way:
            # Its second request, or what Asterisk tells of the first one's end.
            return
        self._under_way[channel_id] = UNAVAILABLE
        self._host.spawn(self._serve(party, event), f"transfer by {channel_id}")

    async def _serve(self, party: Participant, event: events.ChannelTransfer) -> None:
        phone = event.referred_by.source_channel.id
        request = self._request(party, event)
        self._bid_farewell(phone)
        try:
            permit = await self._policy.ask(request)
            result = await self._carry_out(party, event, request, permit)
            self._policy.note_end(request, result)
        except CallbridgeError as error:
            _log.warning("call %s: not transferred by %s: %s", self._call_id, phone, error)
            self._under_way[phone] = DECLINED if error.error_code in _REFUSED else UNAVAILABLE
        await self._settle(phone)

    def _bid_farewell(self, phone: str) -> None:
        """See to it that a phone is told how its transfer stands before it is let go."""
        farewells = self._engine.executor.farewells
        farewells[phone] = lambda: self._tell_at_last(phone)

    async def _settle(self, phone: str) -> None:
        """Tell a phone how its transfer ended, unless it was let go with that."""
        if (farewell := self._engine.executor.farewells.pop(phone, None)) is not None:
            await farewell()
        del self._under_way[phone]

    async def _carry_out(
        self,
        party: Participant,
        event: events.ChannelTransfer,
        request: TransferRequest,
        permit: Permit,
    ) -> str:
        """Do what was granted; return how it ended."""
        phone = event.referred_by.source_channel.id
        try:
            if request.kind is TransferKind.ATTENDED:
                return await self._attended(party, phone, event.refer_to, permit)
            return await self._blind(party, phone, permit)
        except CallbridgeError as error:
            self._policy.note_end(request, error.error_message)
            raise

    def _request(self, party: Participant, event: events.ChannelTransfer) -> TransferRequest:
        to, incoming = event.refer_to, self._engine.incoming
        replaces = to.destination_channel is not None or to.requested_destination.protocol_id
        return TransferRequest(
            self._call_id,
            party,
            to.requested_destination.destination or "",
            TransferKind.ATTENDED if replaces else TransferKind.BLIND,
            TransferSource.PHONE,
            event.referred_by.source_channel.name.rpartition("-")[0],
            incoming.caller_number,
            incoming.callee_number,
        )

    async def _tell(self, channel_id: str, state: str) -> bool:
        """Tell a phone how far its transfer is; False if it cannot be told, as it has hung up."""
        try:
            await self._host.ari.channels.transfer_progress(channel_id=channel_id, states=state)
        except RequestFailedError as error:
            _log.debug("call %s: %s not told to the phone: %s", self._call_id, state, error)
        except ServerError as error:
            _log.warning("call %s: %s not told to the phone: %s", self._call_id, state, error)
        else:
            return True
        return False

    async def _tell_at_last(self, phone: str) -> None:
        """Tell a phone how its transfer ended; return when the message is on its way.

        A hang-up may overtake it otherwise: Asterisk sends the two from different threads.
        """
        state = self._under_way[phone]
        echo = self._echoes[phone, state] = asyncio.Event()
        try:
            if await self._tell(phone, state):
                async with asyncio.timeout(_ECHO_SECONDS):
                    await echo.wait()
        except TimeoutError:
            _log.debug("call %s: whether %s was told to the phone is open", self._call_id, state)
        finally:
            del self._echoes[phone, state]

    # --- blind ----------------------------------------------------------------------------------

    async def _blind(self, party: Participant, phone: str, permit: Permit) -> str:
        """Transfer the others to somebody who is rung; return how it ended.

        The phone stays on the line until he has answered, and gets the others back if he does not.
        """
        await self._tell(phone, TRYING)

        def prepare(transfer: TransferEngine) -> None:
            transfer.listeners.append(lambda tell: self._note(phone, tell))
            self._on_transfer(transfer)

        notes = self._engine.notes
        notes[NOTE] = party
        try:
            transfer = await by_phone.begin(
                self._host, self._engine, party, permit, consult=False, prepare=prepare
            )
            await transfer.ended.wait()
        except CallbridgeError:
            notes.pop(NOTE, None)
            raise
        notes.pop(NOTE, None)
        return _result(transfer)

    def _take_up(self) -> None:
        """See to it that a phone is told how its transfer ends that an earlier program began."""
        party = self._engine.notes.get(NOTE)
        transfer = self._host.transfers.of(self._call_id)
        if party is None or transfer is None:
            return
        phone = self._engine.executor.channel_of(Participant(party))
        if phone is None or phone in self._under_way:
            return
        self._under_way[phone] = UNAVAILABLE if transfer.state.human is None else ANSWERED
        transfer.listeners.append(lambda tell: self._note(phone, tell))
        self._bid_farewell(phone)
        self._host.spawn(self._see_out(phone, transfer), f"transfer by {phone} goes on")

    async def _see_out(self, phone: str, transfer: TransferEngine) -> None:
        await transfer.ended.wait()
        self._engine.notes.pop(NOTE, None)
        await self._settle(phone)

    def _note(self, phone: str, tell: Tell) -> None:
        """Note what a phone is to be told when its transfer is over."""
        match tell.notice:
            case TransferNotice.ACCEPTED:
                self._under_way[phone] = ANSWERED
            case TransferNotice.ENDED if tell.outcome is not Outcome.COMPLETED:
                self._under_way[phone] = DECLINED if tell.code in _REFUSED else UNAVAILABLE
            case _:
                pass

    # --- attended -------------------------------------------------------------------------------

    async def _attended(
        self, party: Participant, phone: str, to: models.ReferTo, permit: Permit
    ) -> str:
        """Bring together whom the phone talks with on its two lines; return how it ended.

        Whom it only rings yet is rung anew, for the others: a blind transfer from then on.
        """
        endpoint = await given_up(self._host, to)
        if endpoint is not None:
            return await self._blind(party, phone, replace(permit, endpoint=endpoint))

        def joined() -> None:
            self._under_way[phone] = ANSWERED

        await connect(self._host, self._engine, party, to, joined)
        return str(Outcome.COMPLETED)


def _result(transfer: TransferEngine) -> str:
    """Say how a transfer ended."""
    state = transfer.state
    outcome = state.outcome if state.stage is Stage.OVER else None
    words = str(outcome or Outcome.CALL_OVER)
    return f"{words}: {state.message}" if state.message else words
