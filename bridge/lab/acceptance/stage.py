"""What a run has in hand: phones, whoever callbridge embodies, and what was told of them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bridge.lab.acceptance.ears import RATE, Ear, Mouth, PhoneEar, ProgramEar, Said, read_sound
from bridge.lab.acceptance.judging import Scale
from bridge.lab.acceptance.model import BRIEF, PhoneSpec, Run, Step, free_tones
from bridge.lab.acceptance.site import Site
from bridge.lab.acceptance.steps import Event, Together, Transfer
from bridge.lab.hearing.limits import ABSENT_BELOW_DB
from bridge.lab.phones import Phone, PhoneSettings, Silence, Source, Tone, WavFile, start_phone
from bridge.model.errors import CallbridgeError, LabError
from bridge.sdk import ActiveCall, Client, Observer, events
from bridge.sdk.recording import Recording
from bridge.sdk.transfer import Transfer as Handover

_EVENTS_KEPT: Final = 1000
_POLL_SECONDS: Final = 0.01
_CALLS_KEPT: Final = 1000


class StepFailedError(LabError):
    """A step did not come out as it has to."""


@dataclass(frozen=True, slots=True)
class Listened:
    """What was found when it was last looked who hears whom: until when, and who, whom."""

    until: float
    who: dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Talking:
    """Since when a phone talks, as far as was looked: in which of its calls."""

    call_id: int
    since: float


@dataclass
class Actor:
    """An agent on a call that callbridge has, or an observer of any."""

    name: str
    hand: ActiveCall | Observer
    phone: str | None = None
    """Of an observer who is a person: the phone that he has picked up."""
    ear: ProgramEar | None = None
    mouth: Mouth | None = None
    handover: Handover | None = None
    recording: Recording | None = None
    keys: defaultdict[str, str] = field(default_factory=lambda: defaultdict(str))
    """What parties have pressed."""

    @property
    def call(self) -> ActiveCall:
        """The call, of an agent. Raises StepFailedError for an observer."""
        if isinstance(self.hand, Observer):
            raise StepFailedError(f"{self.name} observes: only an agent can do that")
        return self.hand

    @property
    def observer(self) -> Observer:
        """The observer. Raises StepFailedError for an agent."""
        if not isinstance(self.hand, Observer):
            raise StepFailedError(f"{self.name} is an agent: only an observer can do that")
        return self.hand

    def speak_now(self) -> None:
        """Say at once what is due: he may be heard from now on."""
        if self.mouth is not None:
            self.mouth.speak_now()

    async def aclose(self) -> None:
        """Fall silent and deaf."""
        for part in (self.mouth, self.ear):
            if part is not None:
                await part.aclose()


class Stage:
    """Everything of one run; ``open`` comes first, what it opens ends with the stack."""

    def __init__(self, run: Run, site: Site, folder: Path, stack: AsyncExitStack) -> None:
        self.run = run
        self.site = site
        self.folder = folder
        self.phones: dict[str, Phone] = {}
        self.muted: set[str] = set()
        """Phones whose button for it is pressed."""
        self.actors: dict[str, Actor] = {}
        self.told: deque[str] = deque(maxlen=_EVENTS_KEPT)
        """Events that steps wait for and have not had yet."""
        codecs = {spec.codec or run.codec for spec in run.phones.values()}
        worst_db = min((codec.absent_below_db for codec in codecs), default=ABSENT_BELOW_DB)
        self.scale = Scale(run.hearing, voices_of(run), worst_db)
        self.began_at = self.acted_at = time.monotonic()
        """When the last step that is no expectation began, and when it was done."""
        self.acted = 0
        """How many of them were, since it was last looked who hears whom."""
        self.listened: Listened | None = None
        self.talking: dict[str, Talking] = {}
        """By phones that were expected to talk."""
        self._stack = stack
        self._client: Client | None = None
        self._incoming: deque[ActiveCall] = deque(maxlen=_CALLS_KEPT)
        self._ears: dict[str, Ear] = {}
        self._replaced: list[Actor] = []
        """Those whose names others have now: on their calls until the end of the run."""

    async def open(self) -> None:
        """Start callbridge, should a step need it, and the phones. Raises CallbridgeError."""
        if needs_callbridge(self.run):
            client = self._client = self.site.client(self.run)
            client.on(events.INCOMING_CALL, self._incoming.append)
            client.on(events.DTMF_RECEIVED, self._pressed)
            for event in {step.do.type for step in all_steps(self.run) if _tells(step)}:
                client.on(event, lambda *_, event=event: self.told.append(event))
            await self._stack.enter_async_context(client)
        # Not before its parties have gone: an agent's call ends with them.
        self._stack.push_async_callback(self._close_actors)
        async with asyncio.TaskGroup() as tasks:
            for name, spec in self.run.phones.items():
                tasks.create_task(self._start(name, spec))

    @property
    def client(self) -> Client:
        """The program. Raises StepFailedError in a run without one."""
        if self._client is None:
            raise StepFailedError("this run has no callbridge: no step makes an agent or observer")
        return self._client

    def actor(self, name: str) -> Actor:
        """Return an actor. Raises StepFailedError when he has not come."""
        if name not in self.actors:
            raise StepFailedError(f"{name} has not come to any call")
        return self.actors[name]

    def ear(self, name: str) -> Ear:
        """Return somebody's ear. Raises StepFailedError when he has none."""
        if name in self._ears:
            return self._ears[name]
        actor = self.actor(name)
        if actor.phone is not None:
            return self._ears[actor.phone]
        if actor.ear is None:
            raise StepFailedError(f"{name} hears nothing: he has left")
        return actor.ear

    def talks(self, name: str) -> None:
        """Note that a phone has been seen to talk in its newest call."""
        call_id = self.phones[name].calls[-1].call_id
        if name not in self.talking or self.talking[name].call_id != call_id:
            self.talking[name] = Talking(call_id, time.monotonic())

    def heard_from(self, name: str) -> float:
        """Return from when on what somebody hears counts: the last command.

        Or his talking, where that was expected since: what he heard before was that it rings.
        """
        talking = self.talking.get(self.voice_of(name))
        return self.acted_at if talking is None else max(self.acted_at, talking.since)

    def number(self, name: str) -> str:
        """Return what is dialled for a phone of the run, or the name as it is."""
        spec = self.run.phones.get(name)
        return name if spec is None else spec.extension

    def endpoint(self, name: str) -> str:
        """Return the endpoint of a phone of the run."""
        return self.run.program.endpoint.format(number=self.number(name))

    def voice_of(self, name: str) -> str:
        """Return by which voice somebody is known: an observer on a phone says the phone's."""
        actor = self.actors.get(name)
        return name if actor is None or actor.phone is None else actor.phone

    async def incoming(self, phone: str, within: float) -> ActiveCall:
        """Wait for the call of a phone to callbridge. Raises StepFailedError."""
        endpoint, number = self.endpoint(phone), self.number(phone)
        found: list[ActiveCall] = []

        def came() -> bool:
            for call in tuple(self._incoming):
                if call.end_reason is not None:
                    # Its caller has given up; the next one is meant.
                    self._incoming.remove(call)
                    continue
                caller = next((p for p in call.parties if p.name == "caller"), None)
                at = "" if caller is None else caller.endpoint
                if at == endpoint or call.caller_number == number:
                    found.append(call)
                    self._incoming.remove(call)
                    return True
            return False

        unless = f"no call of {phone} has come to callbridge within {within:g} s"
        await self.until(came, lambda: unless, within)
        return found[0]

    async def embody(self, name: str, hand: ActiveCall | Observer, phone: str | None) -> Actor:
        """Give an agent or an observer a name and, unless he is on a phone, ear and voice."""
        actor = Actor(name, hand, phone)
        await self.enter(actor)
        if phone is None:
            rate = self.client.sample_rate
            actor.ear = ProgramEar(hand, rate)
            actor.mouth = Mouth(hand, self.tone(name), rate)
        return actor

    async def enter(self, actor: Actor) -> None:
        """Let somebody have his name, who has no audio yet. Who had it falls silent and deaf."""
        before = self.actors.pop(actor.name, None)
        self.actors[actor.name] = actor
        if before is not None and before.hand is not actor.hand:
            self._replaced.append(before)
        if before is not None:
            await before.aclose()

    def tone(self, name: str) -> Tone:
        """Return the voice of somebody."""
        return Tone(self.scale.tones[name], self.run.hearing.level)

    async def said(self, who: str, what: str) -> Said:
        """Return what ``says`` means. Raises MediaError."""
        if what == "tone":
            return self.tone(who)
        if what in {"silence", "nothing"}:
            return None
        return await read_sound(self.path(what), self.client.sample_rate)

    def source(self, who: str, what: str) -> Source:
        """Return the same for a phone."""
        if what == "tone":
            return self.tone(who)
        return Silence() if what in {"silence", "nothing"} else WavFile(self.path(what))

    def path(self, written: str) -> Path:
        """Return a file that the run names: beside the run's own file."""
        base = self.run.path.parent if self.run.path is not None else Path()
        return base / written

    async def until(
        self, condition: Callable[[], bool], unless: Callable[[], str], within: float
    ) -> None:
        """Wait for a condition. Raises StepFailedError that says how it is then: ``unless``."""
        end = time.monotonic() + within
        while not condition():
            if time.monotonic() > end:
                raise StepFailedError(unless())
            await asyncio.sleep(_POLL_SECONDS)

    async def _start(self, name: str, spec: PhoneSpec) -> None:
        host, port, password = self.site.account(spec)
        record = self.folder / f"{name}.wav"
        phone = await start_phone(
            PhoneSettings(
                number=spec.extension,
                password=password,
                host=host,
                port=port,
                codec=spec.codec or self.run.codec,
                answer=spec.answer,
                answer_after_ms=round(spec.answer_after * 1000),
                source=self.source(name, spec.says),
                silence_suppression=spec.says == "nothing",
                record=record,
                register=spec.register,
                sample_rate_hz=RATE,
            )
        )
        self._stack.push_async_callback(phone.stop)
        self.phones[name] = phone
        self._ears[name] = PhoneEar(phone, record)

    async def _close_actors(self) -> None:
        left: list[str] = []
        for actor in (*self._replaced, *self.actors.values()):
            try:
                await actor.aclose()
                await _released(actor.hand)
            except CallbridgeError as error:
                left.append(f"{actor.name} did not leave: {error}")
        if left:
            raise LabError("; ".join(left))

    def _pressed(self, call: ActiveCall, party: str, key: str) -> None:
        for actor in self.actors.values():
            if actor.hand is call:
                actor.keys[party] += key


def all_steps(run: Run) -> list[Step]:
    """Return all steps, those of branches in their places."""
    found: list[Step] = []

    def gather(steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step.do, Together):
                for branch in step.do.branches:
                    gather(branch)
            else:
                found.append(step)

    gather(run.steps)
    return found


def needs_callbridge(run: Run) -> bool:
    """Tell whether a run has a part for callbridge."""
    steps = all_steps(run)
    return bool(run.program.supervisors) or any(s.do.MAKES or _tells(s) for s in steps)


def voices_of(run: Run) -> dict[str, float]:
    """Return the tone, in Hz, of everybody who has a voice in a run."""
    tones = {name: spec.tone for name, spec in run.phones.items()}
    for step in all_steps(run):
        for name in step.do.named((step.do.MAKES,) if step.do.MAKES else ()):
            if getattr(step.do, "phone", None) is None:
                tones.setdefault(name, None)
        if isinstance(step.do, Transfer) and step.do.brief is not None:
            tones.setdefault(BRIEF, None)
    given = [hz for hz in tones.values() if hz is not None]
    free = iter(free_tones(given))
    return {name: next(free) if hz is None else hz for name, hz in tones.items()}


def _tells(step: Step) -> bool:
    return isinstance(step.do, Event)


def _released(hand: ActiveCall | Observer) -> Awaitable[None]:
    return hand.leave(cut=True) if isinstance(hand, Observer) else hand.disconnect(cut=True)
