"""All calls of one application on one Asterisk: who gets which event, and what was left behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping

from bridge.ari import AriConnection, Backoff, Capabilities, LinkState, LinkStatus, events
from bridge.ari.generated.events import AnyMessage
from bridge.directory import Change, Directory
from bridge.media.pcm import AudioFormat
from bridge.model.ids import CallId
from bridge.model.participants import AGENT, CALLER, Participant
from bridge.model.states import EndReason
from bridge.runtime.admission import Admission
from bridge.runtime.agent import AgentMedia
from bridge.runtime.arrivals import Arrivals
from bridge.runtime.audibility import AudibilityReport, look
from bridge.runtime.audibility_check import AudibilityCheck
from bridge.runtime.audit import Audit
from bridge.runtime.doorstep import check_caller, leave, require, turn_away
from bridge.runtime.engine import CallEngine
from bridge.runtime.executor import Executor
from bridge.runtime.feature_keys import FeaturePhones
from bridge.runtime.handset import HandsetEvent, Keystrokes, channel_of
from bridge.runtime.hold_button import HoldButton
from bridge.runtime.incoming import IncomingCall, read_incoming
from bridge.runtime.lookout import Lookout
from bridge.runtime.memory import Remembered
from bridge.runtime.names import Names, new_call_id
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.originating import Originations, Taker
from bridge.runtime.outage import Outage
from bridge.runtime.parking import Parking, read_retrieval
from bridge.runtime.pending import NOBODY
from bridge.runtime.probe import SOURCE, whisper_reaches_silent_leg
from bridge.runtime.pulse import Pulses
from bridge.runtime.reconcile import Reconciliation
from bridge.runtime.refer import Refers
from bridge.runtime.release import Release
from bridge.runtime.remembering import Remembering
from bridge.runtime.resume import Resumption, parking_resumer, transfer_resumer
from bridge.runtime.roster import Roster
from bridge.runtime.seat import read_access
from bridge.runtime.settings import ControllerSettings
from bridge.runtime.supervision import Supervision
from bridge.runtime.tasks import Tasks
from bridge.runtime.telling import tell_engine, tell_supervision
from bridge.runtime.transfer_policy import TransferPolicy
from bridge.runtime.transfers import Transfers
from bridge.session import Phase, Session, inputs
from bridge.topology.objects import Key

_log = logging.getLogger(__name__)

_BACKOFF = Backoff(longest_s=0.5)
"""Calls wait for the link: it is looked for more often than that takes."""
_TURN_AWAY_SECONDS = 1.0


class Controller:
    """Takes calls from Asterisk and keeps an engine for each.

    ``on_call`` is called with the engine of every new call, before its first event is processed;
    ``on_resumed`` with that of a call of an earlier program whose agent is to speak again: without
    it he stays away. ``on_observer_resumed`` with an observer who is there again.
    """

    def __init__(
        self,
        settings: ControllerSettings,
        *,
        on_call: Callable[[CallEngine], None],
        on_resumed: Callable[[CallEngine], None] | None = None,
        on_observer_resumed: Callable[[ObserverEngine], None] | None = None,
    ) -> None:
        self.settings = settings
        self._on_resumed = on_resumed
        self._on_observer_resumed = on_observer_resumed
        self._format = AudioFormat(settings.sample_rate)
        self._on_call = on_call
        self.names = Names(settings.ari.application)
        self._arrivals = Arrivals()
        self._keystrokes = Keystrokes()
        self._roster = Roster(self.names)
        self._tasks = Tasks()
        self._turning_away = Tasks()
        self._reconciliation = Reconciliation(self, self.spawn)
        self._closing = False
        self._handing_over = False
        self.ended = asyncio.Event()
        """Set when no event will come any more: closed, or replaced by another program."""
        self.ari = AriConnection(
            settings.ari, on_event=self._dispatch, on_state=self._link_changed, backoff=_BACKOFF
        )
        self.outage = Outage(lambda: self.ari.state, self._server_lost)
        self._release = Release(self.ari)
        self.audit = Audit()
        self.supervision = Supervision(self, self.audit)
        self.resumption = Resumption(self)
        self.remembering = Remembering(
            self.ari,
            self.spawn,
            observers_of=self.supervision.observers_of,
            call_of=self.supervision.live_call_of,
        )
        self.supervision.remembering = self.remembering
        self.originations = Originations(self)
        self.transfers = Transfers(self)
        self.parking = Parking(self, settings.parking_slots)
        self.transfer_policy = TransferPolicy(settings.transfers, self.audit)
        self.refers = Refers(self, self.transfer_policy)
        self.feature_phones = FeaturePhones(
            self, self.transfer_policy, settings.feature_keys, self._format
        )
        self.resumption.resumers += [
            transfer_resumer(self.transfers),
            parking_resumer(self.parking),
        ]
        self.admission = Admission(
            self.ari,
            self.supervision,
            self.watch,
            access=settings.access,
            keys=settings.keys,
            pulses=Pulses(self.ari, self._arrivals, self.names),
        )
        self.audibility_check = AudibilityCheck(
            self, self.audit, every_seconds=settings.audibility_seconds
        )
        self.live_listeners: list[Callable[[Change], None]] = []
        """Told of every change of a live call, once ``watch()`` was called; must not block."""
        self._lookout = Lookout(settings.ari, on_change=self._changed, on_open=self._watching)

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do."""
        return self.ari.capabilities

    @property
    def engines(self) -> tuple[CallEngine, ...]:
        """The calls that are going on."""
        return self._roster.engines

    def engine(self, call_id: CallId) -> CallEngine | None:
        """Return a call that is going on."""
        return self._roster.engine(call_id)

    @property
    def known(self) -> frozenset[CallId]:
        """Under which ids objects in Asterisk are in use."""
        return (
            self._roster.ids
            | self.supervision.ids
            | self.originations.ids
            | self.transfers.ids
            | self.resumption.ids
        )

    @property
    def directory(self) -> Directory:
        """All live calls of the PBX. Raises InvalidStateError before ``watch()``."""
        return self._lookout.directory

    async def watch(self, *, settled: bool = False) -> Directory:
        """Keep a directory of all live calls from now on; return it, perhaps when it has settled.

        Raises ServerError, and InvalidStateError from ``close()`` on.
        """
        return await self._lookout.open(settled=settled)

    def _watching(self) -> None:
        self.spawn(self.audibility_check.run(), "audibility")
        for engine in self.engines:
            self._show(engine)

    def _changed(self, change: Change) -> None:
        self.supervision.changed(change)
        for listener in self.live_listeners:
            listener(change)

    async def audibility(self, target: str) -> AudibilityReport:
        """Return who is to hear whom on a live call, and who does, by what Asterisk lists.

        target: as in Directory.find. Raises what that raises, ServerError.
        """
        return await look(self, (await self.watch()).find(target).call_id)

    def executor(self, object_id: CallId, programs: Mapping[Participant, AgentMedia]) -> Executor:
        """Make an executor for objects that are named by an id."""
        return Executor(
            self.ari,
            self._arrivals,
            self.names,
            object_id,
            application=self.settings.ari.application,
            programs=programs,
            lets_stand=lambda: self._handing_over,
        )

    def new_program(self) -> AgentMedia:
        """Make the voice and ears of a program."""
        return AgentMedia(
            self._format,
            self.ari.open_media_socket,
            send_buffer_seconds=self.settings.send_buffer_seconds,
        )

    async def open(self) -> None:
        """Connect to Asterisk and take over what an earlier run left there.

        Raises ServerUnreachableError, AuthenticationError, CapabilityError.
        """
        await self.ari.open()
        try:
            require(self.ari.capabilities, self.settings.sample_rate)
            await self._reconciliation.now()
        except BaseException:
            await self.close()
            raise
        if self.settings.probe:
            self.spawn(self._probe(), "probe")

    async def close(self) -> None:
        """Leave: agents alone with a caller end the call, parties who talk go on talking."""
        self._closing = True
        self._reconciliation.stop()
        self._lookout.leave()
        await self.originations.close()
        await self.supervision.close()
        await self.transfers.close()
        await asyncio.gather(*map(leave, self.engines))
        if self.ari.state.is_up:
            # Parties who talk on are the next program's to look after.
            await self.remembering.flush()
        await self._turning_away.wait(_TURN_AWAY_SECONDS)
        await self._end()

    async def hand_over(self) -> None:
        """Leave everything as it stands to the program that comes next."""
        self._closing = self._handing_over = True
        self._reconciliation.stop()
        self._lookout.leave()
        await self.originations.close()
        async with self._reconciliation.lock:
            await self.remembering.stop()
        for engine in self.engines:
            engine.ends_by = EndReason.HANDED_OVER
        self.supervision.hand_over()
        await self._end()

    async def _end(self) -> None:
        self.outage.stop()
        await self._turning_away.end()
        await self._tasks.end()
        await self._lookout.close()
        await self.ari.close()
        self.ended.set()

    # --- calls ----------------------------------------------------------------------------------

    def take(self, event: events.StasisStart) -> None:
        """Begin a call with a channel that entered the application, unless it has one."""
        if self._roster.knows(event.channel.id):
            return
        incoming = read_incoming(event, new_call_id())
        engine = self._engine(incoming, with_agent=True)
        _log.info(
            "call %s: from %s to %s",
            incoming.call_id,
            incoming.caller_number or "unknown",
            incoming.callee_number,
        )
        self._on_call(engine)

    def take_missed(self, event: events.StasisStart) -> None:
        """Begin a call with a channel that came while no events did, if it is still there."""
        if self._let_in(event):
            return
        self.take(event)
        if (engine := self.engine_of(event.channel.id)) is not None:
            self.spawn(check_caller(self.ari, engine), f"check {engine.incoming.call_id}")

    def take_rung(self, incoming: IncomingCall, on_call: Taker) -> CallEngine:
        """Begin a call with somebody whom we have rung; ``on_call`` gets it instead of ours."""
        engine = self._engine(incoming, with_agent=True)
        _log.info("call %s: %s has answered", incoming.call_id, incoming.channel_name)
        try:
            on_call(engine)
        except Exception:
            # Nobody has the call: he is not left in silence.
            engine.post(inputs.Disconnect(NOBODY, cut=True))
            raise
        return engine

    def adopt(
        self,
        incoming: IncomingCall,
        legs: Mapping[Participant, str],
        bridges: Mapping[Key, tuple[str, frozenset[str]]],
        anchors: Mapping[Key, str],
    ) -> None:
        """Look after a call of an earlier run whose parties are still talking."""
        if self.engine(incoming.call_id) or self._roster.knows(incoming.channel_id):
            return
        session = Session(phase=Phase.DETACHED, parties=frozenset(legs))
        engine = self._engine(incoming, with_agent=False, session=session)
        engine.executor.adopt(legs, bridges, anchors)
        _log.info("call %s: taken over, its parties are talking", incoming.call_id)

    @property
    def resumes(self) -> bool:
        """Somebody gets the calls that are taken up."""
        return self._on_resumed is not None

    def take_up(self, memory: Remembered, session: Session) -> CallEngine:
        """Go on with a call as it is remembered; the agent is there again unless he had left."""
        present = session.phase is not Phase.DETACHED
        engine = self._engine(memory.incoming, with_agent=present, session=session, memory=memory)
        if present and self._on_resumed is not None:
            self._on_resumed(engine)
        return engine

    def observer_resumed(self, engine: ObserverEngine) -> None:
        """Tell of an observer who is there again."""
        if self._on_observer_resumed is not None:
            self._on_observer_resumed(engine)

    def _engine(
        self,
        incoming: IncomingCall,
        *,
        with_agent: bool,
        session: Session | None = None,
        memory: Remembered | None = None,
    ) -> CallEngine:
        agent = self.new_program() if with_agent else None
        executor = self.executor(incoming.call_id, {} if agent is None else {AGENT: agent})
        if session is None or CALLER in session.parties:
            executor.add_leg(CALLER, incoming.channel_id)
        engine = CallEngine(incoming, self.ari, executor, agent, self._release, session=session)
        self._roster.add(engine)
        engine.on_change.append(lambda: self._show(engine))
        engine.names_taken = lambda: self.supervision.names_of(incoming.call_id)
        if memory is not None:
            engine.notes.update(memory.notes)
        self.remembering.begin(engine, serial=0 if memory is None else memory.serial)
        executor.on_leg = lambda channel_id: self._roster.note_leg(channel_id, engine)
        self.refers.attach(engine)
        HoldButton(engine, self.ari, self.spawn)
        self.feature_phones.attach(engine)
        self.parking.attach(engine)
        self._show(engine)
        self.spawn(self._live(engine), f"call {incoming.call_id}")
        return engine

    async def _live(self, engine: CallEngine) -> None:
        try:
            await engine.run()
        finally:
            self.parking.end(engine.incoming.call_id)
            self.transfers.call_over(engine.incoming.call_id)
            self.remembering.end(engine.incoming.call_id)
            self._roster.remove(engine)
            self._lookout.release(engine.incoming.call_id)

    def _show(self, engine: CallEngine) -> None:
        """Let the directory, and the observers, know who takes part in a call of ours."""
        if self._lookout.show(engine):
            self.supervision.call_changed(engine.incoming.call_id)

    # --- events ---------------------------------------------------------------------------------

    def _dispatch(self, event: AnyMessage) -> None:
        match event:
            case events.StasisStart(channel=channel):
                self._entered(event, channel.id)
            case (
                events.ChannelDtmfReceived()
                | events.ChannelHold()
                | events.ChannelUnhold()
                | events.ChannelTransfer()
            ):
                self._at_a_phone(event)
            case (
                events.StasisEnd()
                | events.ChannelHangupRequest()
                | events.ChannelStateChange()
                | events.ChannelDestroyed()
            ):
                if engine := self.engine_of(event.channel.id):
                    tell_engine(engine, event)
                else:
                    name = self.names.read(event.channel.id)
                    owner = name.call if name is not None else None
                    if not self.originations.tell(owner, event):
                        tell_supervision(self.supervision, owner, event)
            case events.PlaybackFinished(playback=playback):
                self.transfers.playbacks.finished(playback.id, playback.state)
            case _:
                pass

    def _at_a_phone(self, event: HandsetEvent) -> None:
        channel_id = channel_of(event)
        if isinstance(event, events.ChannelDtmfReceived) and not self._keystrokes.is_new(event):
            return
        if engine := self.engine_of(channel_id):
            engine.handset(event)
        elif isinstance(event, events.ChannelDtmfReceived):
            self.supervision.key_pressed(channel_id, event.digit)

    def _entered(self, event: events.StasisStart, channel_id: str) -> None:
        expected = self._arrivals.enter(channel_id)
        ours = self.names.read(channel_id) is not None
        if expected or ours or self._roster.knows(channel_id) or self._handing_over:
            return
        if (left := event.replace_channel) is not None and self.engine_of(left.id) is not None:
            # Asterisk's own transfer of a leg of ours, which nobody has allowed.
            _log.warning("channel %s is turned away: it took the place of %s", channel_id, left.id)
            self.spawn(turn_away(self.ari, channel_id), f"turn away {channel_id}")
            return
        if not self._closing and self._let_in(event):
            return
        if self._closing:
            self._turning_away.spawn(turn_away(self.ari, channel_id), f"turn away {channel_id}")
        else:
            self.take(event)

    def _let_in(self, event: events.StasisStart) -> bool:
        """Deal with a channel that is no new call: tell whether it is none."""
        if (access := read_access(event)) is not None:
            self.spawn(self.admission.let_in(access), f"access {access.channel_id}")
        elif (retrieval := read_retrieval(event)) is not None:
            self.spawn(self.parking.let_in(retrieval), f"retrieval {retrieval.channel_id}")
        else:
            return False
        return True

    def engine_of(self, channel_id: str) -> CallEngine | None:
        """Return the call that a channel belongs to."""
        return self._roster.engine_of(channel_id)

    # --- the link -------------------------------------------------------------------------------

    def _link_changed(self, state: LinkState) -> None:
        match state.status:
            case LinkStatus.UP if state.restarted:
                self.outage.lose("Asterisk was restarted")
                self.outage.over()
                self._reconciliation.soon()
            case LinkStatus.UP if state.reconnected:
                self.outage.over()
                self._reconciliation.soon()
            case LinkStatus.DOWN:
                self._arrivals.lose_all(state.reason)
                self.outage.begin()
            case LinkStatus.REPLACED:
                _log.error("another program took over %r", self.settings.ari.application)
                # And with it all that stands, which it has looked at already, or is about to.
                self._handing_over = True
                self._reconciliation.stop()
                self.remembering.cease()
                self._lose_all("another program took over the application")
                self.ended.set()
            case _:
                pass

    def _server_lost(self, reason: str) -> None:
        self._lose_all(reason)
        self._lookout.lose_all()

    def _lose_all(self, reason: str) -> None:
        for engine in self.engines:
            _log.warning("call %s: lost: %s", engine.incoming.call_id, reason)
            engine.post(inputs.ServerLost())
        self.supervision.lose_all()
        self.originations.lose_all(reason)

    async def _probe(self) -> None:
        verdict = await whisper_reaches_silent_leg(self.ari, self._arrivals, self.names)
        self.ari.note_whisper_to_silent_leg(verdict=verdict, source=SOURCE)

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it."""
        return self._tasks.spawn(work, name)
