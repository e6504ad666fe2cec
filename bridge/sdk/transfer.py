"""A transfer of a call to a human, as a program has it in hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from bridge.media.answering import Answering, MachineDetector
from bridge.media.pcm import AudioFormat
from bridge.media.voice import Voice
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    CallClosedError,
    CallerGoneError,
    ConnectFailedError,
    ErrorCode,
    InvalidStateError,
)
from bridge.model.headers import Headers, checked_headers, header_text
from bridge.model.keys import DIGITS
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.runtime import CallEngine, Controller
from bridge.runtime.music import checked_music
from bridge.runtime.offer import Terms
from bridge.runtime.transfer import TransferEngine
from bridge.runtime.transfer_policy import Permit, TransferRequest
from bridge.runtime.transfers import taken_names
from bridge.sdk.events import CallEvent
from bridge.sdk.permits import Permits, note_end, permitted
from bridge.sdk.sounds import Sound, loaded
from bridge.session.transfer import Stage, inputs
from bridge.session.transfer.effects import Outcome, Tell, TransferNotice
from bridge.session.transfer.inputs import Plan, Target

Targets: TypeAlias = str | Sequence[str | Sequence[str]]
"""A number or endpoint; several, one after the other; or rounds of several that ring together."""

_SAID_SECONDS: Final = 0.5
"""How much longer than what was queued the AI's last words may take."""
_SUMMARY_BYTES: Final = 500

_EVENTS: Final[Mapping[TransferNotice, CallEvent]] = {
    TransferNotice.STARTED: CallEvent.TRANSFER_STARTED,
    TransferNotice.RINGING: CallEvent.TRANSFER_RINGING,
    TransferNotice.ANSWERED: CallEvent.TRANSFER_ANSWERED,
    TransferNotice.ACCEPTED: CallEvent.TRANSFER_ACCEPTED,
    TransferNotice.NOT_ACCEPTED: CallEvent.TRANSFER_NOT_ACCEPTED,
    TransferNotice.CHANGED: CallEvent.TRANSFER_CHANGED,
    TransferNotice.ENDED: CallEvent.TRANSFER_ENDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """How a call is transferred; see ``ActiveCall.transfer``."""

    warm: bool = True
    by: str | None = None
    ring_time_seconds: int = 20
    brief: Sound | None = None
    accept: Literal["key", "answer"] | None = None
    accept_key: str = "1"
    decline_key: str = "2"
    accept_seconds: float = 15.0
    detect_machine: bool | Callable[[int], MachineDetector] = False
    consult: bool | None = None
    music: str = ""
    hold: Literal["at_once", "on_accept"] = "at_once"
    together: bool = False
    summary: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    stay: bool = False

    def __post_init__(self) -> None:
        for name, key in (("accept_key", self.accept_key), ("decline_key", self.decline_key)):
            if len(key) != 1 or key not in DIGITS:
                if name == "decline_key" and not key:
                    continue
                raise BadArgumentError(f"{name}={key!r}: one of {DIGITS}")
        if self.accept_key == self.decline_key:
            raise BadArgumentError(f"{self.accept_key} is to accept and to decline: take two keys")
        if self.accept not in {None, "key", "answer"}:
            raise BadArgumentError(f"accept={self.accept!r}: 'key' or 'answer'")
        if self.hold not in {"at_once", "on_accept"}:
            raise BadArgumentError(f"hold={self.hold!r}: 'at_once' or 'on_accept'")
        if self.ring_time_seconds < 1 or self.accept_seconds <= 0:
            raise BadArgumentError("ring_time_seconds: at least 1; accept_seconds: more than 0")
        if self.consult and not self.warm:
            raise BadArgumentError("a blind transfer has no consult: warm=True, or consult=False")
        checked_headers(self.headers)
        checked_music(self.music)

    def consults(self, by: Participant) -> bool:
        """Whether who transfers talks with the human before the customers do."""
        return self.warm and by != AGENT if self.consult is None else self.consult

    def by_key(self, by: Participant) -> bool:
        """Whether the human accepts by a key: where nobody would notice that a machine answered."""
        if self.accept is None:
            return self.warm and not self.consults(by)
        return self.accept == "key"


class Transfer:
    """A transfer that is under way, or over; made by ``call.transfer``."""

    def __init__(
        self, engine: TransferEngine, on_event: Callable[[CallEvent, Transfer], None]
    ) -> None:
        self._engine = engine
        self._on_event = on_event
        self._decided = asyncio.Event()
        self._code: ErrorCode | None = None
        self._message = ""
        engine.listeners.append(self._told)
        if engine.state.human is not None:
            self._decided.set()

    def is_of(self, engine: TransferEngine) -> bool:
        """Tell whether it is this one."""
        return self._engine is engine

    def __repr__(self) -> str:
        return f"<Transfer {self.outcome or self.stage}>"

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        return self._engine.state.stage

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it is under way."""
        return self._engine.state.outcome if self.stage is Stage.OVER else None

    @property
    def human(self) -> str | None:
        """Who has accepted: the name of a party; None as long as nobody has."""
        return self._engine.state.human

    @property
    def error_code(self) -> ErrorCode | None:
        """Why it failed, or why the last one who was rung did not accept."""
        return self._code

    @property
    def error_message(self) -> str:
        """The same, for people; may be empty."""
        return self._message

    async def complete(self, *, cut: bool = False) -> None:
        """Leave the customers to the human; while it still rings: do not wait for him.

        What the AI has said is heard first, by whom it was said to, unless ``cut`` drops it.
        Raises InvalidStateError when it is too late, and ServerError if Asterisk failed: the
        customers come back then.
        """
        await self._said(cut=cut)
        await self._engine.command(inputs.Complete)

    async def cancel(self, *, cut: bool = False) -> None:
        """Give it up: the customers come back to who transfers. As ``complete``."""
        await self._said(cut=cut)
        await self._engine.command(inputs.Cancel)

    async def toggle(self, *, cut: bool = False) -> None:
        """Talk with the customers instead of the human, or with him again. As ``complete``."""
        await self._said(cut=cut)
        await self._engine.command(inputs.Toggle)

    async def conference(self, *, for_good: bool = False, cut: bool = False) -> None:
        """Let all talk together. As ``complete``.

        for_good: the transfer is over with that, and nobody leaves.
        """
        await self._said(cut=cut)
        await self._engine.command(lambda token: inputs.Conference(token, for_good))

    async def wait(self) -> Outcome:
        """Wait until it is over; return how it ended. ``error_code`` says why it failed."""
        await self._engine.ended.wait()
        return self._engine.state.outcome or Outcome.CALL_OVER

    async def wait_accepted(self) -> str:
        """Wait until a human has accepted and is where he belongs; return his name.

        Raises ConnectFailedError when nobody did, CallerGoneError when the last customer hung up,
        InvalidStateError when it was cancelled, CallClosedError when the call is over.
        """
        await self._decided.wait()
        if self.human is not None:
            return self.human
        raise self._failure()

    def _failure(self) -> CallbridgeError:
        message = self._message or f"the transfer is over: {self.outcome}"
        match self.outcome:
            case Outcome.CALLER_HUNG_UP:
                return CallerGoneError(message)
            case Outcome.CANCELLED:
                return InvalidStateError("the transfer was cancelled")
            case Outcome.FAILED | Outcome.HUMAN_LEFT:
                return ConnectFailedError(message, code=self._code)
            case _:
                return CallClosedError(message)

    async def _said(self, *, cut: bool) -> None:
        agent = self._engine.call.agent
        if agent is not None and not cut:
            await said(agent.voice, agent.format)

    def _told(self, tell: Tell) -> None:
        if tell.code is not None:
            self._code, self._message = tell.code, tell.message
        if tell.notice in {TransferNotice.CHANGED, TransferNotice.ENDED}:
            self._decided.set()
        if (event := _EVENTS.get(tell.notice)) is not None:
            self._on_event(event, self)


async def said(voice: Voice, audio_format: AudioFormat) -> None:
    """Wait until what is queued now has been played; what comes meanwhile is not waited for."""
    queued = audio_format.seconds(voice.buffered_bytes)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(queued + _SAID_SECONDS):
            await voice.drain()


async def begin(
    controller: Controller,
    call: CallEngine,
    targets: Targets,
    options: TransferOptions,
    *,
    on_event: Callable[[CallEvent, Transfer], None],
    on_made: Callable[[Transfer], None],
) -> Transfer:
    """Begin a transfer; see ``ActiveCall.transfer``. on_made: told of it before it begins."""
    session = call.session
    by = _by(options, session.parties)
    customers = _customers(by, session.parties)
    controller.transfers.require_none(call)
    rounds = rounds_of(targets, together=options.together)
    permits = await permitted(controller, call, by, rounds, consults=options.consults(by))
    plan = _plan(permits, options, by, call)
    terms = await _terms(options, by, AudioFormat(controller.settings.sample_rate))
    engine = controller.transfers.new(call, terms, stays=options.stay, music=options.music)
    note_end(controller.transfer_policy, permits, engine)
    transfer = Transfer(engine, on_event)
    on_made(transfer)
    try:
        if plan.hold_at_once and call.agent is not None:
            await said(call.agent.voice, call.agent.format)
        there = customers & call.session.parties
        if customers and not there:
            raise CallerGoneError(f"the {min(customers)} hung up before it began")
        await engine.command(
            lambda token: inputs.Begin(
                token,
                by,
                there,
                plan,
                parties=call.session.parties,
                agent=call.session.has_agent,
                taken=taken_names(call),
            )
        )
    except (CallbridgeError, asyncio.CancelledError):
        # Who asked does not wait any more: nobody would know of the transfer.
        engine.give_up()
        raise
    return transfer


def _by(options: TransferOptions, parties: frozenset[Participant]) -> Participant:
    if options.by is None:
        return CALLEE if CALLEE in parties else AGENT
    by = Participant(options.by)
    if by != AGENT and by not in parties:
        there = ", ".join(sorted(parties))
        raise BadArgumentError(f"by={options.by!r}: one of {there}, or {AGENT!r} for the AI")
    return by


def _customers(by: Participant, parties: frozenset[Participant]) -> frozenset[Participant]:
    return parties - {CALLER} if by == CALLER else frozenset({CALLER})


def _plan(permits: Permits, options: TransferOptions, by: Participant, call: CallEngine) -> Plan:
    def target(asked: tuple[TransferRequest, Permit]) -> Target:
        permit = asked[1]
        headers = _headers(options, call, permit.headers)
        sip = headers if permit.endpoint.startswith("PJSIP/") else ()
        return Target(permit.endpoint, permit.ring_seconds or options.ring_time_seconds, sip)

    by_key = options.by_key(by)
    return Plan(
        rounds=tuple(tuple(map(target, ringing)) for ringing in permits),
        by_key=by_key,
        offer=by_key or options.brief is not None or bool(options.detect_machine),
        consult=options.consults(by),
        hold_at_once=options.hold == "at_once",
        blind=not options.warm,
    )


def rounds_of(targets: Targets, *, together: bool) -> list[list[str]]:
    """Return who rings together, round by round. Raises BadArgumentError for nobody."""
    if isinstance(targets, str):
        return [[targets]]
    if together:
        rounds = [[t for group in targets for t in ([group] if isinstance(group, str) else group)]]
    else:
        rounds = [[group] if isinstance(group, str) else list(group) for group in targets]
    if not rounds or not all(rounds):
        raise BadArgumentError("transfer to nobody: give a number, or several")
    return rounds


def _headers(options: TransferOptions, call: CallEngine, granted: Headers) -> Headers:
    ours = {
        "X-Callbridge-Call-Id": call.incoming.call_id,
        "X-Callbridge-Caller": header_text(call.incoming.caller_number),
        "X-Callbridge-Summary": header_text(options.summary, _SUMMARY_BYTES),
    }
    given = {name: value for name, value in ours.items() if value}
    return checked_headers({**given, **options.headers, **dict(granted)})


async def _terms(options: TransferOptions, by: Participant, audio_format: AudioFormat) -> Terms:
    detect = options.detect_machine
    return Terms(
        None if options.brief is None else await loaded(options.brief, audio_format),
        by_key=options.by_key(by),
        accept_key=options.accept_key,
        decline_key=options.decline_key,
        accept_seconds=options.accept_seconds,
        detector=Answering if detect is True else detect or None,
    )
