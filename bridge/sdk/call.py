"""A live call, as a program has it in hand."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, overload

from bridge.media.ears import AudioStream
from bridge.media.outbox import Dropped
from bridge.media.pcm import AudioFormat
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    ConfigurationError,
    InvalidStateError,
)
from bridge.model.headers import checked_headers
from bridge.model.ids import CallId
from bridge.model.modes import BARGE, SPY, AudioMode, ObserverMode, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import CallState, EndReason
from bridge.runtime import CallEngine, Controller
from bridge.runtime.agent import AgentMedia
from bridge.runtime.announcing import Announcements
from bridge.runtime.incoming import sip_header
from bridge.runtime.keypad import Keypad
from bridge.runtime.originating import NOTE as ORIGINATED
from bridge.runtime.ring_group import BETWEEN
from bridge.sdk import events
from bridge.sdk.events import CallEvent
from bridge.sdk.handlers import Handler, Handlers
from bridge.sdk.holding import Holding
from bridge.sdk.labels import Labels
from bridge.sdk.parkable import Parkable
from bridge.sdk.parties import Party, name_for, parties_of
from bridge.sdk.recordable import Recordable
from bridge.sdk.routing import endpoint_for
from bridge.sdk.transferring import Transferring
from bridge.session import inputs
from bridge.session.digits import Digits, Wanted
from bridge.session.effects import Announce, Notice

_H = TypeVar("_H", bound=Handler)

Route = Callable[["ActiveCall"], str | Awaitable[str]]
"""Says whom ``connect()`` rings: a number, or an endpoint such as ``PJSIP/1002``."""

_EVENTS = {
    Notice.ANSWERED: events.CALL_ANSWERED,
    Notice.ANSWER_FAILED: events.CALL_ANSWER_FAILED,
    Notice.CONNECTED: events.CALL_CONNECTED,
    Notice.CONNECT_FAILED: events.CALL_CONNECT_FAILED,
    Notice.MODE_CHANGED: events.CALL_MODE_CHANGED,
    Notice.PARTY_JOINED: events.PARTY_JOINED,
    Notice.PARTY_LEFT: events.PARTY_LEFT,
    Notice.PARTY_CHANGED: events.PARTY_CHANGED,
    Notice.TAKEN_OVER: events.CALL_TAKEN_OVER,
    Notice.GIVEN_BACK: events.CALL_GIVEN_BACK,
    Notice.TERMINATED: events.CALL_TERMINATED,
}


class ActiveCall(Transferring, Holding, Parkable, Recordable):
    """A call, and the agent's part in it.

    Commands wait until they are in effect, and raise an error of ``bridge.errors`` when they are
    not. Audio is PCM, s16le, mono, at the client's sample rate, without a header.
    """

    def __init__(
        self,
        engine: CallEngine,
        agent: AgentMedia,
        *,
        route: Route | None,
        endpoint: str,
        controller: Controller,
        handlers: Handlers,
        on_event: Callable[..., None],
    ) -> None:
        self._engine = engine
        self._agent = agent
        self._route = route
        self._endpoint = endpoint
        self._controller = controller
        self._audit = controller.audit
        self._on_event = on_event
        self._handlers = Handlers(owner=handlers)
        self._end_reason: EndReason | None = None
        self._ended = asyncio.Event()
        self.watchers: list[Callable[[ActiveCall], None]] = []
        """Told of every change, also of one that no event tells; must not block."""
        engine.listeners.append(self._notice)
        engine.on_change.append(self._changed)
        engine.notes.listeners.append(self._changed)
        self._keypad = Keypad(engine)
        self._keypad.listeners.append(self._key_pressed)
        self._announcements = Announcements(
            engine,
            controller.transfers,
            controller.spawn,
            AudioFormat(controller.settings.sample_rate),
        )

        self._place = controller.parking.place(engine.incoming.call_id)
        self._watch_parking(handlers.has)

    def __repr__(self) -> str:
        return f"<ActiveCall {self.call_id} {self.state}>"

    # --- what it is -----------------------------------------------------------------------------

    @property
    def call_id(self) -> str:
        """Names the call for its whole life."""
        return self._engine.incoming.call_id

    @property
    def sample_rate(self) -> int:
        """Hz of all audio."""
        return self._controller.settings.sample_rate

    @property
    def originated(self) -> bool:
        """The caller did not call: he was rung, by ``client.originate``."""
        return ORIGINATED in self._engine.notes

    @property
    def labels(self) -> Labels:
        """What the program notes at the call; a program that runs later finds it there."""
        return Labels(self._engine.notes)

    @property
    def caller_number(self) -> str:
        """Who calls; empty when withheld."""
        return self._engine.incoming.caller_number

    @property
    def caller_endpoint(self) -> str:
        """The phone or trunk that he calls from, such as ``PJSIP/1001``."""
        return self._engine.incoming.channel_name.rpartition("-")[0]

    @property
    def caller_name(self) -> str:
        """The name that came with the number; may be empty."""
        return self._engine.incoming.caller_name

    @property
    def callee_number(self) -> str:
        """What the caller dialled: the original callee."""
        return self._engine.incoming.callee_number

    async def header(self, name: str) -> str:
        """Return a SIP header of the caller's INVITE, empty where there is none.

        Raises BadArgumentError for what is no name of a header, ServerError.
        """
        return await sip_header(self._controller.ari, self._engine.incoming, name)

    @property
    def state(self) -> CallState:
        """PENDING, ANSWERED, CONNECTED or DISCONNECTED; the last also after ``close()``."""
        if self._end_reason is not None:
            return CallState.DISCONNECTED
        return self._engine.session.state

    @property
    def mode(self) -> AudioMode:
        """The mode in effect. With the caller alone it is BARGE: every party hears the agent."""
        return self._engine.session.mode.mode

    @property
    def whispers_to(self) -> frozenset[str]:
        """Who hears the agent in whisper mode; empty in the others."""
        return frozenset(self._engine.session.mode.targets)

    @property
    def parties(self) -> tuple[Party, ...]:
        """Who talks with whom, and who is being rung: the caller and the callee first."""
        return parties_of(self._engine)

    @property
    def taken_over_by(self) -> str | None:
        """The observer who stands in for a party, or for the agent."""
        return self._engine.taken_over_by

    @property
    def end_reason(self) -> EndReason | None:
        """Why the call ended for this program; None while it goes on."""
        return self._end_reason

    # --- commands -------------------------------------------------------------------------------

    async def answer(self) -> None:
        """Answer the caller: PENDING → ANSWERED. The agent and the caller can talk then.

        Raises InvalidStateError, CommandInProgressError, CallerGoneError, CallClosedError, and
        ServerError if Asterisk failed; the call is PENDING then as before.
        """
        await self._engine.command(inputs.Answer)

    async def connect(
        self, to: str | Sequence[str] | None = None, *, ring_time_seconds: int = 60
    ) -> None:
        """Ring the callee and put him to the caller: PENDING or ANSWERED → CONNECTED, in BARGE.

        to: a number or an endpoint; by default what the client's route says, else the original
        callee. Several ring together, and the first who picks up is the callee. Raises
        ConnectFailedError, whose ``error_code`` is CALL_UNANSWERED, CALL_BUSY, CALL_DECLINED,
        CALL_UNREACHABLE or CALL_FAILED: the call goes on as before then. Raises what ``answer``
        raises besides, and BadArgumentError. To stop waiting for it does not take it back: the
        callee rings on for his time; ``close`` and ``disconnect`` end that.
        """
        if ring_time_seconds < 1:
            raise BadArgumentError(f"ring_time_seconds={ring_time_seconds}: at least 1")
        target = to if to is not None else await self.target()
        targets = [target] if isinstance(target, str) else target
        if not targets:
            raise BadArgumentError("connect to nobody: give a number, or several")
        endpoint = BETWEEN.join(
            endpoint_for(one, self._endpoint, dialled=self.callee_number) for one in targets
        )
        await self._engine.command(lambda token: inputs.Connect(token, endpoint, ring_time_seconds))

    async def spy(self, *, cut: bool = False) -> None:
        """Listen only. What was sent before is heard first, unless ``cut`` drops it."""
        await self._turn(SPY, cut=cut)

    async def whisper(self, to: str | Collection[str] = "callee", *, cut: bool = False) -> None:
        """Speak to ``to`` alone: one party or several. ``cut`` as in ``spy``.

        Raises BadArgumentError for somebody who is no party.
        """
        names = {to} if isinstance(to, str) else set(to)
        if not names or not names <= self._names:
            known = ", ".join(sorted(self._names))
            raise BadArgumentError(f"whisper to {to!r}: one can whisper to {known}")
        await self._turn(whisper(*map(Participant, sorted(names))), cut=cut)

    async def barge(self, *, cut: bool = False) -> None:
        """Speak to all parties. ``cut`` as in ``spy``."""
        await self._turn(BARGE, cut=cut)

    async def close(self, *, cut: bool = False) -> None:
        """Leave, after the last word that was sent, unless ``cut`` drops it.

        CONNECTED: the parties stay connected. Otherwise the call ends for the caller too. No
        error when the call has ended already.
        """
        await self._engine.command(lambda token: inputs.Close(token, cut))

    async def disconnect(self, *, cut: bool = False) -> None:
        """End the call for all, after the last word that was sent, unless ``cut`` drops it.

        No error when the call has ended already, or after ``close()``, which it does not undo.
        """
        await self._engine.command(lambda token: inputs.Disconnect(token, cut))

    # --- more parties than two ------------------------------------------------------------------

    async def add(
        self,
        to: str,
        *,
        name: str | None = None,
        ring_time_seconds: int = 30,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Ring somebody and put him to the others: ANSWERED or CONNECTED → CONNECTED.

        The others talk meanwhile. Who joins hears the agent in BARGE, or when whispered to.
        to: a number or an endpoint. name: by default made of it, ``party_1005``. Returns the name.
        headers: SIP headers for his phone, such as ``X-Ticket``. ``remove`` takes it back while he
        is being rung. Raises ConnectFailedError as ``connect`` does: the call goes on as before
        then; BadArgumentError for a name that is taken; InvalidStateError, CallClosedError, and
        ServerError if Asterisk failed.
        """
        if ring_time_seconds < 1:
            raise BadArgumentError(f"ring_time_seconds={ring_time_seconds}: at least 1")
        endpoint = endpoint_for(to, self._endpoint, dialled=self.callee_number)
        party = name_for(to, name)
        sip = checked_headers(headers or {})
        await self._engine.command(
            lambda token: inputs.AddParty(token, party, endpoint, ring_time_seconds, headers=sip)
        )
        return party

    async def remove(self, name: str) -> None:
        """Hang up one party; the others talk on.

        With one party left the call is ANSWERED again: he hears the agent. Raises BadArgumentError
        for nobody who is there, InvalidStateError when the last one would be left in silence.
        """
        await self._engine.command(lambda token: inputs.RemoveParty(token, Participant(name)))

    async def mute(self, name: str) -> None:
        """Let nobody hear a party, the agent included. He hears as before.

        Raises BadArgumentError for nobody who is there, InvalidStateError while somebody has taken
        over from him, and ServerError if Asterisk failed: nothing has changed then.
        """
        await self._mute(name, on=True)

    async def unmute(self, name: str) -> None:
        """Let a party be heard again. Raises what ``mute`` raises."""
        await self._mute(name, on=False)

    # --- keys -----------------------------------------------------------------------------------

    async def collect_digits(
        self,
        *,
        max_digits: int,
        terminator: str = "#",
        timeout_seconds: float = 10.0,
        between_seconds: float = 3.0,
        speaker: str = "caller",
    ) -> Digits:
        """Return the digits that a party presses from now on, and why they ended.

        terminator: keys that end them, not among them; may be empty. timeout_seconds: for the first
        key; between_seconds: from each to the next. What came in time is returned in any case.

        Raises BadArgumentError for nobody who is there, CommandInProgressError while digits of the
        same party are being collected, CallClosedError when he, or the agent, leaves first.
        """
        if speaker not in {party.name for party in self.parties}:
            known = ", ".join(party.name for party in self.parties)
            raise BadArgumentError(f"speaker={speaker!r}: one of {known}")
        wanted = Wanted(max_digits, terminator, timeout_seconds, between_seconds)
        return await self._keypad.collect(Participant(speaker), wanted)

    def _key_pressed(self, party: Participant, key: str) -> None:
        if self._end_reason is None:
            self._handlers.emit(events.DTMF_RECEIVED, self, party, key)
            self._on_event(events.DTMF_RECEIVED, self, party, key)

    async def _mute(self, name: str, *, on: bool) -> None:
        await self._engine.command(lambda token: inputs.MuteParty(token, Participant(name), on))

    @property
    def _names(self) -> set[str]:
        return {CALLER, CALLEE, *(party.name for party in self.parties)}

    async def _turn(self, mode: ObserverMode, *, cut: bool) -> None:
        with self._audit.command(CallId(self.call_id), AGENT, str(mode), by="program"):
            await self._engine.command(lambda token: inputs.ChangeMode(token, mode, cut))

    async def target(self) -> str:
        """Return whom ``connect()`` rings by default: what the client's route says."""
        if self._route is None:
            return self.callee_number
        target = self._route(self)
        if inspect.isawaitable(target):
            target = await target
        if not isinstance(target, str):
            raise ConfigurationError(f"the route returned {target!r}: it returns a number")
        return target

    # --- audio ----------------------------------------------------------------------------------

    async def send_audio(self, pcm: bytes | bytearray | memoryview) -> None:
        """Say ``pcm`` to whoever hears the agent now; it is queued and played in real time.

        It is heard in the mode that it was sent in, whatever follows. In SPY it is dropped and
        counted (``dropped_audio``). Raises BufferFullError, with nothing taken, when more is
        queued than the client's ``send_buffer_seconds``; BadArgumentError for half a sample;
        InvalidStateError before ``answer()``; CallClosedError after the end.
        """
        self._require_media()
        if not self._engine.session.takes_audio:
            raise CallClosedError(f"the call is over: {self._end_reason or 'the agent is leaving'}")
        self._agent.voice.send(pcm)

    def clear_send_audio_buffer(self) -> None:
        """Fall silent within two frames (40 ms): what is queued is dropped and counted."""
        self._agent.voice.clear()

    def get_send_audio_buffer_size(self) -> int:
        """Bytes that were sent and not yet played."""
        return self._agent.voice.buffered_bytes

    @property
    def dropped_audio(self) -> Dropped:
        """Bytes that were sent and not heard: in SPY, cleared, or refused with a failed mode."""
        return self._agent.voice.dropped

    def audio_stream(self, speaker: str | None = None, *, max_seconds: float = 10.0) -> AudioStream:
        """Hear the parties: an asynchronous iterator of frames of 20 ms, from now on.

        speaker: one party alone; by default the mix of all. It ends with the call, with
        ``close()``, or with the party. A slow reader loses the oldest audio beyond ``max_seconds``,
        counted in ``dropped_frames`` of the stream. Raises InvalidStateError before ``answer()``.
        """
        if speaker is not None and speaker not in self._names:
            known = ", ".join(sorted(self._names))
            raise BadArgumentError(f"speaker={speaker!r}: one of {known}, or None for all")
        self._require_media()
        return self._agent.ears.subscribe(speaker, max_seconds=max_seconds)

    def _require_media(self) -> None:
        if self.state is CallState.PENDING:
            raise InvalidStateError("no audio yet: answer() or connect() comes first")

    # --- events ---------------------------------------------------------------------------------

    @overload
    def on(self, event: CallEvent | str) -> Callable[[_H], _H]: ...

    @overload
    def on(self, event: CallEvent | str, handler: _H) -> _H: ...

    def on(self, event: CallEvent | str, handler: Handler | None = None) -> Any:
        """Register a handler, as a decorator or directly; for what it takes see CallEvent.

        One for CALL_TERMINATED that comes too late is called at once. Raises BadArgumentError
        for an event that a call does not have.
        """
        if event not in set(CallEvent):
            known = ", ".join(CallEvent)
            raise BadArgumentError(f"a call has no event {event!r}; it has {known}")

        def register(function: _H) -> _H:
            self._handlers.add(event, function)
            if event == events.CALL_TERMINATED and self._end_reason is not None:
                self._handlers.run(function, self)
            return function

        return register if handler is None else register(handler)

    async def wait_ended(self) -> EndReason:
        """Wait until the call ended, or the agent left it; return why."""
        await self._ended.wait()
        return self._end_reason or EndReason.FAILED

    def _changed(self) -> None:
        for watcher in list(self.watchers):
            watcher(self)

    def _notice(self, announce: Announce) -> None:
        if self._end_reason is not None:
            # The parties go on without us.
            return
        event = _EVENTS[announce.notice]
        if announce.notice is Notice.TERMINATED:
            self._end_reason = announce.reason or EndReason.FAILED
            self._ended.set()
        if announce.notice is Notice.MODE_CHANGED and announce.message:
            what, why = str(announce.mode), announce.message
            self._audit.note(CallId(self.call_id), AGENT, what, by="callbridge", result=why)
        who = () if announce.party is None else (announce.party,)
        self._handlers.emit(event, self, *who)
        self._on_event(event, self, *who)
