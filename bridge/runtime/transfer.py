"""One transfer: a mailbox beside its call's, and the machine's wishes as commands to the call.

It has no object of its own in Asterisk but the prompters of its offers: who is where is the call's
business, which is asked to arrange it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from bridge.ari import events
from bridge.model.errors import (
    CallbridgeError,
    CallClosedError,
    ConnectFailedError,
    ErrorCode,
)
from bridge.model.modes import SPY, ObserverMode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import EndReason
from bridge.runtime.engine import CallEngine
from bridge.runtime.handset import HandsetEvent
from bridge.runtime.offer import Offer, Terms
from bridge.runtime.pending import NOBODY, Pending, raise_refusal
from bridge.runtime.playbacks import Playbacks
from bridge.runtime.prompter import Prompter
from bridge.runtime.refusals import error_of
from bridge.runtime.unkept import keep_no_more
from bridge.session import Phase, effects
from bridge.session import inputs as call_inputs
from bridge.session.effects import Announce, Notice
from bridge.session.inputs import Token
from bridge.session.transfer import Stage, Transfer, inputs, step
from bridge.session.transfer.effects import (
    Drop,
    EndCall,
    Leave,
    Outcome,
    Place,
    Placement,
    Ring,
    Tell,
    TransferEffect,
    TransferNotice,
    Withdraw,
)
from bridge.session.transfer.effects import Offer as OfferIt
from bridge.session.transfer.inputs import TransferCommand, TransferInput
from bridge.topology.objects import CALL_BRIDGE, apart_key

_log = logging.getLogger(__name__)

RINGING_TONE: Final = "tone:ring"
"""What a phone that transfers hears while it is alone and somebody rings."""

_AGAIN_SECONDS: Final = 0.5
_MOST_SECONDS: Final = 10.0
_AGENT_LEFT: Final = frozenset({EndReason.AGENT_LEFT, EndReason.TAKEN_OVER})
"""Why a call ends for the program, and goes on."""
_TURNING: Final = frozenset({Stage.TURNING_ASIDE, Stage.TURNING_BACK, Stage.GATHERING})
"""The stages that lead back to a talk when they fail."""
_REASONS: Final = {CALLER: EndReason.CALLER_HUNG_UP, CALLEE: EndReason.CALLEE_HUNG_UP}
"""Why a call is over, by the customer who left it last."""


class Kit(Protocol):
    """What offers are made with: the registry of all transfers."""

    @property
    def playbacks(self) -> Playbacks:
        """Plays sounds into bridges."""

    def new_prompter(self, party: Participant, channel_id: str) -> Prompter:
        """Make a voice that one party alone hears."""


class TransferEngine:
    """The only writer of one transfer. ``run()`` returns when it is over and nothing of it is left.

    terms: how humans are asked. stays: the AI, if it transfers, listens on when it has. music:
    the class that customers hear; empty: their call's. state: of an earlier program's transfer.
    """

    def __init__(
        self,
        call: CallEngine,
        kit: Kit,
        terms: Terms,
        *,
        stays: bool = False,
        music: str = "",
        state: Transfer | None = None,
    ) -> None:
        self.call = call
        self.terms = terms
        self.stays = stays
        self.music = music
        self.state = state or Transfer()
        self.listeners: list[Callable[[Tell], None]] = []
        """Told of what happens, in order. Must not block."""
        self.on_change: list[Callable[[], None]] = []
        """Called when ``state`` is another. Must not block."""
        self.ended = asyncio.Event()
        self._given_up = False
        self._kit = kit
        # Not bounded: control is never dropped, and its sources are people and one server.
        self._mailbox: asyncio.Queue[TransferInput | None] = asyncio.Queue()
        """None: it was given up, perhaps before it began."""
        self._pending = Pending()
        self._tasks: set[asyncio.Task[None]] = set()
        self._offers: dict[Participant, Offer] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._placing: asyncio.Task[None] | None = None
        self._ringback: asyncio.Task[None] | None = None
        self._agent_there = call.session.agent_present
        self._last_gone: Participant | None = None
        """The customer who hung up last."""
        call.listeners.append(self._told)
        call.handset_listeners.append(self._handset)
        call.on_change.append(self._call_changed)

    @property
    def offered(self) -> frozenset[Participant]:
        """Who is being asked whether he takes it."""
        return frozenset(self._offers)

    @property
    def is_over(self) -> bool:
        """It is over, or will not begin; what is left of it stands in the way of no other."""
        will_not_begin = self._given_up and self.state.stage is Stage.NEW
        return self.state.stage is Stage.OVER or will_not_begin

    def post(self, event: TransferInput) -> None:
        """Tell the transfer that something happened."""
        self._mailbox.put_nowait(event)

    async def command(self, make: Callable[[Token], TransferCommand]) -> None:
        """Give a command and wait until it is done.

        Raises the error that the machine refuses it with. Cancelling the wait does not take the
        command back.
        """
        if self.ended.is_set():
            raise_refusal(step(self.state, make(NOBODY))[1])
            return
        token, done = self._pending.begin()
        self.post(make(token))
        await done

    async def end(self) -> None:
        """Bring it to the end that is best for those who talk, and return when it is there.

        Whoever has accepted gets the customers; else they come back.
        """
        accepted = self.state.human is not None
        make = inputs.Complete if accepted else inputs.Cancel
        if self.state.stage is Stage.NEW:
            self.give_up()
        else:
            with contextlib.suppress(CallbridgeError):
                # It ends already, or cannot: the call is as it is.
                await self.command(make)
        await self.ended.wait()

    def give_up(self) -> None:
        """Whoever wanted it does not any more: cancel it, or do not begin it."""
        self._given_up = True
        self._mailbox.put_nowait(None)

    async def run(self) -> None:
        """Live to the end."""
        try:
            while self.state.stage is not Stage.OVER:
                event = await self._mailbox.get()
                if event is None and self.state.stage is Stage.NEW:
                    break
                self._take(event or inputs.Cancel(NOBODY))
        except Exception:  # noqa: BLE001 - a fault of ours must not leave a caller on hold
            _log.exception("transfer of %s: cannot be kept", self.call.incoming.call_id)
            await self._abandon()
        finally:
            self.call.listeners.remove(self._told)
            self.call.handset_listeners.remove(self._handset)
            self.call.on_change.remove(self._call_changed)
            await self._leave_nothing()

    # --- what happens to the call ---------------------------------------------------------------

    def _told(self, announce: Announce) -> None:
        party = announce.party
        match announce.notice:
            case Notice.PARTY_JOINED if party is not None:
                known = party in self.state.humans
                self.post(inputs.LegAnswered(party) if known else inputs.PartyJoined(party))
            case Notice.PARTY_LEFT if party is not None:
                if party in self.state.customers:
                    self._last_gone = party
                self.post(inputs.PartyLeft(party, announce.cause))
            case Notice.TERMINATED if announce.reason in _AGENT_LEFT:
                self._agent_left()
            case Notice.TERMINATED:
                self.post(inputs.CallOver(announce.reason))
            case _:
                pass

    def _call_changed(self) -> None:
        session = self.call.session
        if session.phase.is_over:
            # First of all: what is refused for that is no failure of anybody who is rung.
            self.post(inputs.CallOver(session.reason))
        elif session.phase in {Phase.LEAVING, Phase.DETACHED}:
            self._agent_left()

    def _agent_left(self) -> None:
        if self._agent_there:
            self._agent_there = False
            if not self.call.session.has_agent:
                self.post(inputs.PartyLeft(AGENT))

    def _handset(self, party: Participant, event: HandsetEvent) -> None:
        if isinstance(event, events.ChannelDtmfReceived) and party in self._offers:
            self._offers[party].key(event.digit)

    # --- the mailbox ----------------------------------------------------------------------------

    def _take(self, event: TransferInput) -> None:
        before = self.state
        self.state, out = step(self.state, event)
        call_id = self.call.incoming.call_id
        _log.debug("transfer of %s: %s, %s", call_id, event, self.state.stage)
        if self.state.stage is not before.stage:
            _log.info("transfer of %s: %s", call_id, self.state.stage)
        if self.state != before:
            for listener in list(self.on_change):
                listener()
        self._keep_ringback()
        for effect in out:
            self._perform(effect)

    def _perform(self, effect: TransferEffect) -> None:  # noqa: C901 - a match over a closed union
        match effect:
            case Ring():
                self._spawn(self._ring(effect), f"ring {effect.party}")
            case Drop(party):
                # Behind the Place that goes before: the others do not wait for it.
                drop = call_inputs.RemoveParty(NOBODY, party)
                asyncio.get_running_loop().call_soon(self.call.post, drop)
            case OfferIt(party):
                self._offer(party)
            case Withdraw(party):
                self._withdraw(party)
            case Place():
                if self._placing is not None:
                    self._placing.cancel()
                self._placing = self._spawn(self._place(effect), f"place {effect.number}")
            case Tell():
                for listener in list(self.listeners):
                    listener(effect)
            case EndCall():
                self._end_call()
            case Leave():
                self._let_agent_go()
            case effects.Succeed(token):
                self._pending.settle(token)
            case effects.Refuse(token):
                self._pending.settle(token, error_of(effect))

    async def _ring(self, ring: Ring) -> None:
        """Ring somebody; that he has answered is told by the call itself."""
        party, target = ring.party, ring.target
        adding = self.call.command(
            lambda token: call_inputs.AddParty(
                token,
                party,
                target.endpoint,
                target.ring_seconds,
                apart=ring.apart,
                headers=target.headers,
            )
        )
        await self._rung(party, adding)

    def go_on_ringing(self, party: Participant) -> None:
        """Learn what becomes of somebody whom an earlier program has rung."""
        self._spawn(self._rung(party, self.call.adopted(party)), f"{party} rings on")

    async def _rung(self, party: Participant, adding: Awaitable[None]) -> None:
        try:
            await adding
        except CallbridgeError as error:
            cause = error.hangup_cause if isinstance(error, ConnectFailedError) else None
            message = error.error_message
            self.post(inputs.LegFailed(party, error.error_code, message, cause))

    async def _place(self, place: Place) -> None:
        if place.again:
            await asyncio.sleep(min(_MOST_SECONDS, _AGAIN_SECONDS * 2 ** (place.again - 1)))
        wanted, mode = place.placement, self.call.session.mode
        await self._end_ringback()
        self._cut_agent(wanted)
        try:
            await self._choose_music(wanted)
            await self.call.command(
                lambda token: call_inputs.Arrange(
                    token, wanted.held, wanted.apart, wanted.leaving, wanted.kept
                )
            )
        except CallbridgeError as error:
            await self._speak_again(mode)
            self.post(inputs.PlaceFailed(place.number, error.error_message))
        else:
            self.post(inputs.Placed(place.number))

    async def _speak_again(self, mode: ObserverMode) -> None:
        """Give the AI its mode back where those whom it talked to are with it as before.

        It fell silent when it was not known who would hear it.
        """
        fell_silent = self._agent_there and self.call.session.mode != mode
        if fell_silent and self.state.stage in _TURNING:
            with contextlib.suppress(CallbridgeError):
                # It stays silent then, which its program is told.
                await self.call.command(lambda token: call_inputs.ChangeMode(token, mode, cut=True))

    async def _choose_music(self, wanted: Placement) -> None:
        """Choose what customers will hear; the choice ends with each hold."""
        if self.music:
            coming = wanted.held & self.state.customers - self.call.session.standing.held
            for party in coming:
                await self.call.music.choose(self.music, party)

    def _cut_agent(self, wanted: Placement) -> None:
        """Drop what the AI has said and nobody has heard yet: it was for others than who comes."""
        standing, parties = self.call.session.standing, self.call.session.parties
        moves = (wanted.held ^ standing.held) | (wanted.apart ^ standing.apart) | wanted.leaving
        if moves & parties and self.call.agent is not None and self._agent_there:
            self.call.agent.voice.clear()

    def _end_call(self) -> None:
        """Let everybody go who is left. Without the agent nobody else may end the call."""
        if self.call.session.agent_present:
            reason = _REASONS.get(self._last_gone or AGENT, EndReason.NOBODY_LEFT)
            self.call.post(call_inputs.Disconnect(NOBODY, cut=True, reason=reason))
        else:
            everybody = self.call.session.parties
            self.call.post(call_inputs.Arrange(NOBODY, leaving=everybody))

    def _let_agent_go(self) -> None:
        if self.stays:
            self.call.post(call_inputs.ChangeMode(NOBODY, SPY, cut=True))
        else:
            self.call.post(call_inputs.Close(NOBODY, cut=True))

    # --- offers ---------------------------------------------------------------------------------

    def _offer(self, party: Participant) -> None:
        self._withdraw(party)
        channel_id = self.call.executor.channel_of(party)
        if channel_id is None:
            self.post(inputs.PartyLeft(party))
            return
        offer = Offer(
            party,
            self.terms,
            self._kit.playbacks,
            room=lambda: self.call.executor.id_of(apart_key(party)),
            prompter=lambda: self._kit.new_prompter(party, channel_id),
            post=self.post,
        )
        self._offers[party] = offer
        asking = self._spawn(self._ask(offer, party), f"offer to {party}")
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def _ask(self, offer: Offer, party: Participant) -> None:
        try:
            await offer.run()
        except Exception:  # noqa: BLE001 - a fault of ours must not leave a human, and a caller, waiting
            _log.exception("transfer of %s: the offer failed", self.call.incoming.call_id)
            message = f"{party} could not be asked: the log says why"
            self.post(inputs.Declined(party, ErrorCode.CALL_FAILED, message))

    def _withdraw(self, party: Participant) -> None:
        """End an offer; what is left of it is cleared away by its task."""
        if (offer := self._offers.pop(party, None)) is not None:
            offer.withdraw()

    # --- ringback -------------------------------------------------------------------------------

    def _keep_ringback(self) -> None:
        """Let a party who transfers, and is alone, hear that it rings; and nobody else ever.

        Until somebody has accepted: to him it is all the same who hears the brief.
        """
        wanted = self._hears_ringing
        if wanted and (self._ringback is None or self._ringback.done()):
            self._ringback = self._spawn(self._ring_back(), "ringback")
        elif not wanted and self._ringback is not None:
            _cancel(self._ringback)

    @property
    def _hears_ringing(self) -> bool:
        state = self.state
        alone = state.by != AGENT and state.by_there and not state.colleagues
        rings = bool(state.attempts)
        away = state.wanted == state.stood and state.customers <= state.stood.held
        return state.stage is Stage.RINGING and alone and rings and away

    async def _ring_back(self) -> None:
        room = self.call.executor.id_of(CALL_BRIDGE)
        if room is None:
            return
        try:
            async with self._kit.playbacks.playing(room, RINGING_TONE):
                await asyncio.Event().wait()
        except CallbridgeError as error:
            # He hears nothing for a while; the transfer is not touched by it.
            _log.warning("transfer of %s: no ringing: %s", self.call.incoming.call_id, error)

    async def _end_ringback(self) -> None:
        """Return when it is heard no more, though an earlier Place that waited was given up."""
        if self._ringback is not None:
            _cancel(self._ringback)
            await asyncio.wait({self._ringback})

    # --- owning and settling --------------------------------------------------------------------

    def _spawn(self, work: Coroutine[None, None, None], what: str) -> asyncio.Task[None]:
        name = f"transfer of {self.call.incoming.call_id}: {what}"
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, what))
        return task

    def _done(self, what: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            call_id = self.call.incoming.call_id
            _log.error("transfer of %s: %s failed", call_id, what, exc_info=error)

    async def _abandon(self) -> None:
        """Let those go who have not accepted, and all others talk."""
        for party in list(self._offers):
            self._withdraw(party)
        if self._placing is not None:
            self._placing.cancel()
        rung = self.state.humans - {self.state.human}
        for party in rung - self.call.session.parties:
            self.call.post(call_inputs.RemoveParty(NOBODY, party))
        await keep_no_more(self.call, apart=frozenset(), leaving=rung)
        code, message = ErrorCode.CALL_FAILED, "the transfer broke: the log says why"
        self.state = replace(
            self.state, stage=Stage.OVER, outcome=Outcome.FAILED, code=code, message=message
        )
        for listener in list(self.listeners):
            listener(Tell(TransferNotice.ENDED, None, Outcome.FAILED, code, message))

    async def _leave_nothing(self) -> None:
        for party in list(self._offers):
            self._withdraw(party)
        for task in self._tasks - self._asking:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.ended.set()
        while not self._mailbox.empty():
            # Nothing is done any more; but whoever asks is to be answered.
            if (event := self._mailbox.get_nowait()) is not None:
                self._pending.answer(step(self.state, event)[1])
        self._pending.refuse_all(CallClosedError(f"the transfer is over: {self.state.outcome}"))


def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task, once: what it does for its end is not broken off."""
    if not task.cancelling():
        task.cancel()
