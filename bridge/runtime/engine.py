"""One call: a mailbox, the state machine behind it, and the hands that do what it says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from bridge.ari import AriConnection, LinkStatus
from bridge.model.audibility import Audience
from bridge.model.context import CALL_ID
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    CommandTimeoutError,
    ServerError,
    ServerUnreachableError,
)
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import EndReason, HangupCause
from bridge.runtime.agent import AgentMedia
from bridge.runtime.dialling import Dialled, Dialling
from bridge.runtime.executor import Executor
from bridge.runtime.hands import Hands
from bridge.runtime.handset import HandsetEvent, HandsetListener, channel_of
from bridge.runtime.incoming import IncomingCall, answer_caller, ring_caller
from bridge.runtime.leg_ends import LegEnds
from bridge.runtime.letters import Fault, Letter, Processed, Report, opened
from bridge.runtime.music import Music
from bridge.runtime.notes import Notes
from bridge.runtime.pending import NOBODY, Pending, raise_refusal
from bridge.runtime.refusals import error_of
from bridge.runtime.release import Release
from bridge.runtime.retry import Retry
from bridge.runtime.ring_group import BETWEEN, RingGroup
from bridge.runtime.speaking import Speaking
from bridge.runtime.tasks import end_all
from bridge.runtime.tying import Tying
from bridge.session import Phase, Session, effects, inputs, step
from bridge.session.conference import is_taken
from bridge.session.inputs import Command, Input, Token

_log = logging.getLogger(__name__)

_LINE_SECONDS = 0.05
"""How long after a media socket the events socket may break, when it is the link that broke."""
_HASTE_SECONDS = 1.0

Listener = Callable[[effects.Announce], None]
"""Told of what happens to the call, in order. Must not block."""


class CallEngine:
    """The only writer of one call.

    Everything that happens to the call comes in by ``post`` or ``command``; ``run()`` takes it,
    one after the other, to the state machine, whose effects the call's hands carry out in order.
    It returns when the call is over and nothing of it is left.
    """

    def __init__(
        self,
        incoming: IncomingCall,
        ari: AriConnection,
        executor: Executor,
        agent: AgentMedia | None,
        release: Release,
        *,
        session: Session | None = None,
    ) -> None:
        self.incoming = incoming
        self.executor = executor
        self.agent = agent
        self._speaking: Speaking | None = None
        if agent is not None:
            agent.on_lost = self.line_lost
            self._speaking = Speaking(
                agent.voice, post=self.post, processed=self._processed, name=incoming.call_id
            )
        self.session = session or Session()
        self.taken_up = session is not None
        """It is of another program's making."""
        self.ends_by = EndReason.FAILED
        """Why it is over when its owner ends ``run()``."""
        self.restored = asyncio.Event()
        """Set when what is wanted of a call that was taken up stands, or cannot be had."""
        self.listeners: list[Listener] = []
        self.handset_listeners: list[HandsetListener] = []
        self.on_change: list[Callable[[], None]] = []
        """Called when anything about the call is other than before. Must not block."""
        self.on_events_missed: list[Callable[[], None]] = []
        """Called when events of the call may have been lost. Must not block."""
        self.notes = Notes()
        """What else is to be known of the call after a restart of the program."""
        self.names_taken: Callable[[], Collection[Participant]] = frozenset
        """Says what observers of the call are called: no party may have such a name."""
        self._ari = ari
        self._diallings: dict[Participant, Dialling] = {}
        ties = release.ties(incoming.call_id)
        self._tying = Tying(ari, executor, ties, self._name_of)
        # Not bounded: control is never dropped, and its sources are people and one server.
        self._mailbox: asyncio.Queue[Letter] = asyncio.Queue()
        self._hands = Hands(self._perform, self._report)
        self._pending = Pending()
        self._adopted: dict[Participant, asyncio.Future[None]] = {}
        """Attempts to add a party that an earlier program began."""
        self._adopt_adding()
        self.leg_ends = LegEnds(executor, self.post, self._diallings)
        self._mending = Retry(lambda: self.post(inputs.EventsMissed()))
        self._told = False
        self.music = Music(ari, executor, self.notes)
        """What those on hold hear."""
        self.on_change.append(self._show_held)
        self._show_held()

    @property
    def taken_over_by(self) -> Participant | None:
        """The observer who stands in for a party or for the agent."""
        return self.session.taken_over_by

    def endpoint_of(self, party: Participant) -> str:
        """Return what was dialled for a party, as Asterisk dials it; empty for the caller."""
        dialling = self._diallings.get(party)
        return "" if dialling is None else dialling.endpoint

    def ring_seconds_of(self, party: Participant) -> int:
        """Return for how long a party was rung at most; 0 for who was not."""
        dialling = self._diallings.get(party)
        return 0 if dialling is None else dialling.seconds

    def adopt_dialling(self, party: Participant, dialled: Dialled) -> None:
        """Note how an earlier program came to a party, who may be ringing still."""
        dialling = Dialling(self._ari, self.executor, self.post, party)
        dialling.take_up(dialled)
        self._diallings[party] = dialling

    async def adopted(self, party: Participant) -> None:
        """Wait for the end of an attempt of an earlier program to add a party.

        Raises the error that it failed with; returns at once when there was none.
        """
        if (done := self._adopted.get(party)) is not None:
            await asyncio.shield(done)

    def bring(self, party: Participant, channel_id: str, name: str) -> None:
        """Note the channel of one who is to join: answered, in our application. name: Asterisk's.

        JoinParty follows. Raises BadArgumentError when the party's name is taken.
        """
        there = self.executor.channel_of(party) is not None or party in self.names_taken()
        if there or is_taken(self.session, party):
            raise BadArgumentError(f"{party!r} is taken: give the new party another name")
        self.executor.add_leg(party, channel_id)
        self.adopt_dialling(party, Dialled(name.rpartition("-")[0], name))

    def post(self, event: Input) -> None:
        """Tell the call that something happened."""
        self._mailbox.put_nowait(event)

    async def command(self, make: Callable[[Token], Command]) -> None:
        """Give the call a command and wait until it is done.

        Raises the error that the machine refuses it with. Cancelling the wait does not take the
        command back.
        """
        if self.session.phase is Phase.DISCONNECTED:
            raise_refusal(step(self.session, make(NOBODY))[1])
            return
        token, done = self._pending.begin()
        self.post(make(token))
        await done

    # --- what Asterisk reports ----------------------------------------------------------------

    def channel_up(self, channel_id: str) -> None:
        """A channel was answered."""
        if dialling := self._dialling_of(channel_id):
            dialling.answered()

    def _new_dialling(self, party: Participant, endpoint: str) -> Dialling:
        if party == CALLEE and BETWEEN in endpoint:
            return RingGroup(self._ari, self.executor, self.post, self._diallings)
        return Dialling(self._ari, self.executor, self.post, party)

    def _dialling_of(self, channel_id: str) -> Dialling | None:
        party = self.executor.party_of(channel_id)
        return None if party is None else self._diallings.get(party)

    def line_lost(self, party: Participant) -> None:
        """A media socket of the agent broke."""
        self.executor.line_lost(AGENT, party)
        loop = asyncio.get_running_loop()
        loop.call_later(_LINE_SECONDS, self.post, inputs.LineLost(party))

    def handset(self, event: HandsetEvent) -> None:
        """Somebody did something at his phone."""
        if (party := self.executor.party_of(channel_of(event))) is not None:
            for listener in list(self.handset_listeners):
                listener(party, event)

    @property
    def legs(self) -> frozenset[str]:
        """Ids of the parties' channels."""
        legs = map(self.executor.channel_of, self.executor.stands.legs.values())
        return frozenset(leg for leg in legs if leg is not None)

    def reconnected(self, legs: frozenset[str], channels: Mapping[str, str]) -> None:
        """Events were lost.

        legs: ours before we asked; channels: all that Asterisk then had, with their states.
        """
        for leg in legs:
            if leg not in channels:
                self.leg_ends.gone(leg, HangupCause.NORMAL)
            elif channels[leg] == "Up":
                self.channel_up(leg)
        self.executor.doubt()
        self.post(inputs.EventsMissed())
        for listener in list(self.on_events_missed):
            listener()

    # --- the mailbox --------------------------------------------------------------------------

    async def run(self) -> None:
        """Live the call to its end."""
        CALL_ID.set(self.incoming.call_id)
        hands = asyncio.create_task(self._hands.run(), name=f"hands {self.incoming.call_id}")
        hands.add_done_callback(self._hands_ended)
        if self.taken_up:
            self._take_up()
        try:
            while self.session.phase is not Phase.DISCONNECTED:
                self._take(await self._mailbox.get())
            self._hands.finish()
            await hands
        except asyncio.CancelledError:
            await end_all(hands)
            await self._leave_in_haste()
            raise
        except Exception:  # noqa: BLE001 - a fault of ours must not leave a call behind
            _log.exception("call %s: cannot be kept", self.incoming.call_id)
            await end_all(hands)
            talking = len(self.session.parties) > 1
            await self.executor.tear_down(None if talking else HangupCause.TEMPORARY_FAILURE)
        finally:
            await end_all(hands)
            await self._leave_nothing()

    def _take_up(self) -> None:
        """Make stand what is wanted of another program's call."""
        self._tying.want(self.session.bond)
        route = self.session.mode.route(self.session.parties, self.session.standing.apart)
        self._hands.give((effects.SetRoute(route),), None)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(self._taken_up)
        self._mailbox.put_nowait(Processed(inputs.EventsMissed(), done))
        for listener in list(self.on_events_missed):
            listener()

    def _adopt_adding(self) -> None:
        """Let it be told what becomes of those who were being added."""
        adding = []
        for one in self.session.adding:
            token, done = self._pending.begin()
            # Perhaps nobody wants to know.
            done.add_done_callback(lambda d: None if d.cancelled() else d.exception())
            self._adopted[one.party] = done
            adding.append(replace(one, token=token))
        self.session = replace(self.session, adding=tuple(adding))

    def _taken_up(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.warning("call %s: not all of it stands yet: %s", self.incoming.call_id, error)
        self.restored.set()

    def _report(self, fact: Input, serial: int) -> None:
        self._mailbox.put_nowait(Report(fact, serial))

    def _hands_ended(self, hands: asyncio.Task[None]) -> None:
        if not hands.cancelled() and (error := hands.exception()) is not None:
            self._mailbox.put_nowait(Fault(error))

    def _take(self, letter: Letter) -> None:
        """Bring one thing that happened to the machine, and what follows to the hands."""
        event, done = opened(letter)
        if isinstance(letter, Report) and self._hands.is_stale(event, letter.serial):
            return
        new = event if isinstance(event, inputs.AddParty | inputs.JoinParty) else None
        if new is not None and new.party in self.names_taken():
            message = f"an observer of the call is called {new.party!r}: give another name"
            self._pending.settle(new.token, BadArgumentError(message))
            return
        was, before = self.session, self.session.phase
        self.session, out = step(self.session, event)
        _log.debug("call %s: %s, %s", self.incoming.call_id, event, self.session.phase)
        if self.session.phase is not before:
            _log.info("call %s: %s", self.incoming.call_id, self.session.phase)
        ends = any(isinstance(effect, effects.TearDown) for effect in out)
        lets_go = any(isinstance(e, effects.HangUp) and e.party == CALLEE for e in out)
        if ends or (lets_go and before in {Phase.RINGING, Phase.JOINING}):
            # Nobody waits for what Asterisk does slowly in order to be hung up.
            self._hands.give_up()
            if not ends:
                self._mending.later()
        self._hands.give(out, done)
        if self.session != was:
            for listener in list(self.on_change):
                listener()

    async def _perform(self, effect: effects.Effect) -> list[Input]:  # noqa: C901, PLR0912 - a match over a closed union
        match effect:
            case effects.AnswerCaller():
                return [await answer_caller(self._ari, self.incoming)]
            case effects.RingCaller():
                await ring_caller(self._ari, self.incoming)
            case effects.Dial(endpoint, seconds, party, headers):
                self.leg_ends.forget(party)
                dialling = self._diallings[party] = self._new_dialling(party, endpoint)
                return await dialling.dial(self.incoming, endpoint, seconds, headers)
            case effects.HangUp(party, cause):
                if party in self._diallings:
                    self._diallings[party].stop()
                await self.executor.hang_up(party, cause)
                await self.executor.sweep()
            case effects.Converge(audience):
                return await self._converge(audience)
            case effects.Mend(audience):
                return await self._mend(audience)
            case effects.Tie(bond):
                self._tying.want(bond)
                await self._tying.tie()
            case effects.SetRoute(parties) if self._speaking is not None:
                await self._speaking.set_route(frozenset(parties))
            case effects.TurnVoice() if self._speaking is not None:
                await self._speaking.turn(effect)
                self._pending.placed(effect.token)
            case effects.FinishVoice(cut) if self._speaking is not None:
                await self._speaking.finish(cut=cut)
                for token in self.session.leaving:
                    self._pending.placed(token)
            case effects.TearDown(cause):
                return [await self._tear_down(cause)]
            case effects.Succeed(token):
                self._pending.settle(token)
            case effects.Refuse(token):
                self._pending.settle(token, error_of(effect))
            case effects.Announce():
                await self._announce(effect)
        return []

    async def _converge(self, audience: Audience, *, mending: bool = False) -> list[Input]:
        try:
            await self.executor.converge(audience)
        except asyncio.CancelledError:
            self.executor.doubt()
            raise
        except ServerError as error:
            self._mending.later()
            if mending and isinstance(error, ServerUnreachableError | CommandTimeoutError):
                return []
            return [inputs.AudienceFailed(str(error))]
        if self.executor.untidy:
            # A leg that was not let hang up still hears, and is heard.
            self._mending.later()
        else:
            self._mending.succeeded()
        if any(self.executor.channel_of(party) is None for party in audience.parties):
            return [await self.leg_ends.first_of(audience.parties)]
        return [inputs.AudienceStands()]

    async def _mend(self, audience: Audience) -> list[Input]:
        if not self._ari.state.is_up:
            # Events are needed to make anything; when they come again, EventsMissed does too.
            return []
        facts = await self._converge(audience, mending=True)
        if self._tying.is_due:
            await self._tying.tie()
        return facts

    async def _tear_down(self, cause: HangupCause | None) -> Input:
        self._stop_dialling()
        await self._end_agent()
        if cause is not None or self._ari.state.status is not LinkStatus.DOWN:
            await self.executor.tear_down(cause)
        return inputs.TornDown()

    async def _announce(self, announce: effects.Announce) -> None:
        if announce.notice is effects.Notice.TERMINATED:
            self._told = True
            await self._end_agent()
        if announce.notice is effects.Notice.PARTY_LEFT and self.agent and announce.party:
            self.agent.ears.leave(announce.party)
        for listener in list(self.listeners):
            listener(announce)

    def _name_of(self, party: Participant) -> str:
        """Return Asterisk's name of a party's channel; empty if it is not known."""
        if party == CALLER:
            return self.incoming.channel_name
        dialling = self._diallings.get(party)
        return "" if dialling is None else dialling.channel_name

    def _show_held(self) -> None:
        self.music.now_held(self.session.standing.held)

    def _stop_dialling(self) -> None:
        for dialling in list(self._diallings.values()):
            dialling.stop()

    async def _end_agent(self) -> None:
        if self._speaking is not None:
            await self._speaking.aclose()
        if self.agent is not None:
            await self.agent.aclose()

    async def _processed(self, event: Input) -> None:
        """Post an input and wait until it was carried out. Raises ServerError if it failed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mailbox.put_nowait(Processed(event, done))
        await done

    # --- owning and settling ------------------------------------------------------------------

    async def _leave_nothing(self) -> None:
        """End what is left of tasks and waits, whatever ended the call."""
        self._stop_dialling()
        self._mending.stop()
        self.restored.set()
        await self._end_agent()
        reason = self.session.reason or self.ends_by
        self.session = replace(self.session, phase=Phase.DISCONNECTED, reason=reason)
        if not self._told:
            await self._announce(effects.Announce(effects.Notice.TERMINATED, reason=reason))
        self._hands.drop()
        while not self._mailbox.empty():
            # Nothing is done any more; but whoever asks is to be answered.
            self._answer_late(self._mailbox.get_nowait())
        self._pending.refuse_all(CallClosedError(f"the call is over: {reason}"))

    async def _leave_in_haste(self) -> None:
        """The program goes and does not wait: release a caller who would be left with nobody."""
        talking = len(self.session.parties) > 1
        if self.session.phase is Phase.DISCONNECTED:
            return
        if self.session.phase is Phase.DETACHED and (talking or self.session.kept):
            # Who is parked waits on, for the next program.
            return
        try:
            async with asyncio.timeout(_HASTE_SECONDS):
                await self.executor.tear_down(None if talking else HangupCause.NORMAL)
        except TimeoutError:
            _log.warning("call %s: Asterisk does not answer as we leave", self.incoming.call_id)

    def _answer_late(self, letter: Letter) -> None:
        if isinstance(letter, Fault):
            return
        event, done = opened(letter)
        if done is not None:
            done.cancel()
        self._pending.answer(step(self.session, event)[1])
