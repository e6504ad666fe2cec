"""One recording of one call: ears that Asterisk itself keeps from hearing whispers, and a file.

The recorder is an observer, and never speaks. What is said for others than the caller cannot get
into the recording, since no line brings it here: who whispers is not sent to an observer who did
not ask for it, who is held or apart is not heard. With coaching a second observer, who did ask,
hears the whispers; they go to a file of their own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from bridge.media.recording import Facts, Pause, RecordingFiles, load_soundfile, new_stem
from bridge.media.timeline import SETTLE_SECONDS, Samples, Timeline, mixed
from bridge.model.errors import CallClosedError, InvalidStateError
from bridge.model.ids import CallId
from bridge.model.modes import BARGE, SPY, AudioMode, ObserverMode
from bridge.model.participants import AGENT, CALLER, Participant
from bridge.runtime.admission import Admission
from bridge.runtime.audit import Audit
from bridge.runtime.engine import CallEngine
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.supervision import Supervision
from bridge.session.inputs import Token
from bridge.session.observer import inputs
from bridge.session.observer.effects import LeftReason, ObserverNotice, Tell
from bridge.session.state import Phase

_log = logging.getLogger(__name__)

NOTE: Final = "recording"
"""Under which ``engine.notes`` has the JSON files of a call's recordings, as a JSON list."""

PROGRAM_LEFT: Final = "program_left"
"""Why a recording ended that the next program goes on with."""

RECORDER: Final = "recorder"
"""How the names of our own observers begin."""

RESUME_SECONDS: Final = 0.25
"""What was said during a pause is on its way for so long: it is not recorded after its end."""

_TICK_SECONDS: Final = 0.1
_LONGEST_WRITE_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 0.5
"""How long after a whisper its last words are under way."""
_GONE: Final = frozenset({Phase.ENDING, Phase.DISCONNECTED})


class RecordingState(StrEnum):
    """How a recording stands."""

    RECORDING = "recording"
    PAUSED = "paused"
    ENDED = "ended"
    FAILED = "failed"
    """The files could not be written, or the call not be heard; the call itself goes on."""


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """What is to be recorded, and where to."""

    path: Path
    """A folder; or a file, which ends with ``.wav``."""
    coaching: bool = False
    cut_pauses: bool = False
    part_seconds: float = 3600.0
    keep_seconds: float | None = None
    keep_bytes: int | None = None
    announcement: bytes | Callable[[], Awaitable[None]] = b""
    """Said to all parties before the recording begins: PCM, or what plays it."""


class Studio(Protocol):
    """Where calls and observers are: the controller."""

    @property
    def supervision(self) -> Supervision:
        """The observers."""

    @property
    def admission(self) -> Admission:
        """Lets observers in."""

    @property
    def audit(self) -> Audit:
        """Who did what."""

    def engine(self, call_id: CallId) -> CallEngine | None:
        """Return a call of our own that is going on."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it."""


class Recorder:
    """Writes what the caller says, and what he hears, until ``stop()`` or the end of the call.

    It ends with the caller, too: without him nobody is left whose conversation it is. Made by
    ``record`` and ``go_on``. ``listeners`` are told of every change of ``state``.
    """

    def __init__(self, studio: Studio, files: RecordingFiles) -> None:
        self.files = files
        self.state = RecordingState.RECORDING
        self.failure = ""
        """Why it failed."""
        self.ended = asyncio.Event()
        """Nothing is written any more, and the files are closed."""
        self.listeners: list[Callable[[Recorder], None]] = []
        self._studio = studio
        self._call_id = CallId(files.facts.call_id)
        self._ears: ObserverEngine | None = None
        self._coaching_ears: ObserverEngine | None = None
        # One thread, one write at a time; what waits for it waits in the timelines, which are
        # bounded: there the oldest gives way.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recording")
        self._now = asyncio.get_running_loop().time
        self._begin = 0.0
        self._offset = 0.0
        """Seconds of the recording that were before this program's."""
        self._timelines = Timeline(0, 0.0), Timeline(0, 0.0)
        self._written = 0
        self._deaf_until = 0.0
        self._whispered: dict[str, float] = {}
        self._stopping = asyncio.Event()
        self._stopped_at = 0.0
        self._cause = ""

    @property
    def facts(self) -> Facts:
        """What the JSON beside the files says."""
        return self.files.facts

    @property
    def seconds(self) -> float:
        """How much was written, pauses that are cut not counted."""
        return self._offset + self._written / self.facts.rate

    # --- commands -------------------------------------------------------------------------------

    async def start(self, announcement: bytes | Callable[[], Awaitable[None]] = b"") -> None:
        """Hear the call, announce, and begin to write; nothing is left when it raises.

        Raises CallbridgeError, OSError.
        """
        begun = False
        try:
            await self._in_thread(self.files.begin)
            begun = True
            await self._listen()
            await self._announce(announcement)
            await self._in_thread(self.files.sweep)
        except BaseException:
            await self._let_go()
            if begun:
                await self._in_thread(self.files.discard)
            self._thread.shutdown(wait=False)
            raise
        self._roll()

    async def go_on(self) -> None:
        """Go on with what another program began, in a new part, paused if it was.

        Raises CallbridgeError, OSError; the files that are there stay.
        """
        try:
            await self._in_thread(self.files.mend)
            await self._listen()
            self._offset = max(0.0, time.time() - self.facts.began_at)
            if self.facts.paused:
                self.state = RecordingState.PAUSED
        except BaseException:
            await self._let_go()
            self._thread.shutdown(wait=False)
            raise
        self._roll()

    async def pause(self) -> None:
        """Let nothing of anybody into the files, from now on; in effect at once.

        Returns when it is written down, too. Idempotent. Raises CallClosedError when it is over.
        """
        self._require()
        if self.state is RecordingState.PAUSED:
            return
        self.facts.pauses.append(Pause(self._position()))
        self._change(RecordingState.PAUSED)
        self._note_audit("recording paused")
        await self._note()

    async def resume(self) -> None:
        """End a pause; what was said 0.25 s ago or later is recorded. As ``pause``."""
        self._require()
        if self.state is RecordingState.RECORDING:
            return
        self._deaf_until = self._now() + RESUME_SECONDS
        self.facts.pauses[-1].to_seconds = self._position() + RESUME_SECONDS
        self._change(RecordingState.RECORDING)
        self._note_audit("recording resumed")
        await self._note()

    async def stop(self, cause: str = "stopped") -> None:
        """End it, and return when the files are whole. Idempotent."""
        self._stop(cause)
        await self.ended.wait()

    # --- what is heard --------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Get the ears. Raises what observing a call raises."""
        self._ears = await self._admit("", hears_coaching=False)
        if self.facts.coaching:
            self._coaching_ears = await self._admit("_c", hears_coaching=True)

    async def _admit(self, suffix: str, *, hears_coaching: bool) -> ObserverEngine:
        # A name of its own each time: those of a program that was killed may still be there.
        name = Participant(f"{RECORDER}_{secrets.token_hex(4)}{suffix}")
        engine = await self._studio.admission.observe(
            self._call_id, name, hears_coaching=hears_coaching
        )
        engine.internal = True
        engine.listeners.append(self._told)
        return engine

    def _told(self, engine: ObserverEngine, tell: Tell) -> None:
        """One of the ears has left."""
        if tell.notice is not ObserverNotice.LEFT:
            return
        if engine is self._coaching_ears:
            if tell.reason is LeftReason.FAILED:
                _log.error("call %s: coaching is not recorded any more", self._call_id)
        elif tell.reason is LeftReason.FAILED:
            self._fail("the call cannot be heard any more")
        elif tell.reason is LeftReason.LEFT:
            self._stop(PROGRAM_LEFT)
        else:
            self._stop(str(tell.reason).lower())

    async def _announce(self, announcement: bytes | Callable[[], Awaitable[None]]) -> None:
        """Say to all parties that they are recorded; return when they have heard it."""
        if not announcement:
            return
        if callable(announcement):
            await announcement()
        elif (ears := self._ears) is not None and ears.program is not None:
            supervision = self._studio.supervision
            await supervision.change_mode(ears, BARGE, by="callbridge")
            ears.program.voice.send(announcement)
            # It takes its place in the stream: behind the last word.
            await supervision.change_mode(ears, SPY, by="callbridge")
        self.facts.announced = True

    def _roll(self) -> None:
        self._begin = self._now()
        if not self._offset:
            self.facts.began_at = time.time()
        rate = self.facts.rate
        self._timelines = Timeline(rate, self._begin), Timeline(rate, self._begin)
        for ears, tap in ((self._ears, self._hear), (self._coaching_ears, self._hear_coaching)):
            if ears is not None and ears.program is not None:
                ears.program.ears.taps.append(tap)
                if ears.ended.is_set():
                    self._told(ears, Tell(ObserverNotice.LEFT, reason=ears.state.reason))
        name = f"recording of {self._call_id}"
        self._remember()
        self._note_audit(f"recording to {self.files.stem.name}")
        self._studio.spawn(self._run(), name)

    def _hear(self, speaker: str, frame: bytes) -> None:
        """Take what somebody says whom a party may hear, if the caller may."""
        now = self._now()
        if self._deaf(now) or (speaker != CALLER and not self._caller_hears()):
            return
        self._timelines[0].push(speaker, frame, now)

    def _hear_coaching(self, speaker: str, frame: bytes) -> None:
        """Take what an observer says while he whispers, or has just done so."""
        now = self._now()
        if self._deaf(now):
            return
        if any(mode.mode is AudioMode.WHISPER for mode in self._modes_of(speaker)):
            self._whispered[speaker] = now
        if now - self._whispered.get(speaker, -1.0) <= _LINGER_SECONDS:
            self._timelines[1].push(speaker, frame, now)

    def _deaf(self, now: float) -> bool:
        return self.state is not RecordingState.RECORDING or now < self._deaf_until

    def _caller_hears(self) -> bool:
        """Tell whether the caller is in the conversation: neither held nor apart."""
        own = self._studio.engine(self._call_id)
        if own is None:
            return False
        wanted, stood = own.session.standing, own.session.stood
        away = wanted.held | stood.held | wanted.apart | stood.apart
        return CALLER not in away

    def _modes_of(self, speaker: str) -> tuple[ObserverMode, ...]:
        """Return the mode in effect of one who is no party, and those on their way."""
        own = self._studio.engine(self._call_id)
        if speaker == AGENT and own is not None:
            turnings = own.session.turnings
            return (own.session.mode, *(turning.mode for turning in turnings))
        for engine in self._studio.supervision.observers_of(self._call_id):
            if engine.name == speaker:
                return engine.state.modes
        return ()

    # --- what is written ------------------------------------------------------------------------

    async def _run(self) -> None:
        before = self._begin
        try:
            while not self._stopping.is_set():
                try:
                    async with asyncio.timeout(_TICK_SECONDS):
                        await self._stopping.wait()
                except TimeoutError:
                    # What had come before the last tick was read: a loop that was blocked finds
                    # the frames of all that time only after its timers.
                    await self._write_to(before - SETTLE_SECONDS)
                    before = self._now()
                    self._look_for_caller()
        finally:
            self._stop(PROGRAM_LEFT)
            await self._finish()

    async def _finish(self) -> None:
        await self._write_to(self._stopped_at)
        self._untap()
        facts = self.facts
        if facts.paused:
            facts.pauses[-1].to_seconds = self._position()
        facts.ended_at, facts.end_cause = time.time(), self._cause
        facts.dropped_frames += sum(line.dropped_frames for line in self._timelines)
        try:
            await self._in_thread(self.files.close)
            await self._in_thread(self.files.sweep)
        except OSError as error:
            self._fail(str(error))
        self._thread.shutdown(wait=False)
        if self.state is not RecordingState.FAILED:
            self._change(RecordingState.ENDED)
        self._note_audit(f"recording ended: {self._cause}", result=self.failure or "done")
        self._remember(cause=self._cause)
        await self._let_go()
        self.ended.set()

    async def _write_to(self, at: float) -> None:
        """Write what was heard up to a time."""
        rate = self.facts.rate
        end = self._timelines[0].sample(at)
        while self._written < end and self.state is not RecordingState.FAILED:
            start = self._written
            count = min(end - start, round(_LONGEST_WRITE_SECONDS * rate))
            stereo, coaching = self._rendered(start, count)
            self._written += count
            kept = self._kept(start, count)
            offset = self._offset + (start + int(np.argmax(kept))) / rate
            try:
                if kept.any():
                    await self._in_thread(
                        lambda s=stereo[kept], c=coaching[kept], o=offset: self.files.write(s, c, o)  # type: ignore[misc] # mypy does not type defaults of a lambda
                    )
            except OSError as error:
                self._fail(str(error))

    def _rendered(self, start: int, count: int) -> tuple[Samples, Samples]:
        voices = dict(self._timelines[0].render(start, count))
        left = voices.pop(CALLER, np.zeros(count, np.int16))
        right = mixed(list(voices.values()), count)
        coaching = mixed(list(self._timelines[1].render(start, count).values()), count)
        return np.column_stack((left, right)), coaching

    def _kept(self, start: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which samples go into the file: all, unless pauses are cut out."""
        kept = np.ones(count, np.bool_)
        if self.facts.cut_pauses:
            for pause in self.facts.pauses:
                first = self._sample(pause.from_seconds) - start
                last = count if pause.to_seconds is None else self._sample(pause.to_seconds) - start
                kept[max(0, first) : max(0, last)] = False
        return kept

    def _sample(self, position: float) -> int:
        return round((position - self._offset) * self.facts.rate)

    def _position(self) -> float:
        """Return where it is now, in seconds from the beginning of the recording."""
        return round(self._offset + self._now() - self._begin, 3)

    # --- ends -----------------------------------------------------------------------------------

    def _look_for_caller(self) -> None:
        own = self._studio.engine(self._call_id)
        if own is None or own.session.phase in _GONE:
            return
        if CALLER not in own.session.parties:
            self._stop("caller_left")

    def _stop(self, cause: str) -> None:
        if not self._stopping.is_set():
            self._stopped_at, self._cause = self._now(), cause
            self._stopping.set()

    def _fail(self, why: str) -> None:
        """Record no more; the call goes on."""
        if self.state is RecordingState.FAILED:
            return
        self.failure = why
        _log.error("call %s is not recorded any more: %s", self._call_id, why)
        self._stop("failed")
        self._change(RecordingState.FAILED)

    def _change(self, state: RecordingState) -> None:
        self.state = state
        for listener in list(self.listeners):
            listener(self)

    def _require(self) -> None:
        if self.state in {RecordingState.ENDED, RecordingState.FAILED} or self._stopping.is_set():
            raise CallClosedError(f"the recording is over: {self.failure or self._cause}")

    def _untap(self) -> None:
        for ears, tap in ((self._ears, self._hear), (self._coaching_ears, self._hear_coaching)):
            if ears is not None and ears.program is not None and tap in ears.program.ears.taps:
                ears.program.ears.taps.remove(tap)

    async def _let_go(self) -> None:
        for ears in (self._ears, self._coaching_ears):
            if ears is not None and not ears.ended.is_set():
                ears.post(inputs.Leave(Token(0), cut=True))
                await ears.ended.wait()

    def _remember(self, *, cause: str = "") -> None:
        """Let the call know its recordings that go on, for the program that comes after this."""
        own = self._studio.engine(self._call_id)
        if own is None:
            return
        path = str(self.files.sidecar.absolute())
        going_on = [other for other in noted(own) if other != path]
        if cause in {"", PROGRAM_LEFT}:
            going_on.append(path)
        own.notes[NOTE] = json.dumps(going_on)

    async def _note(self) -> None:
        try:
            await self._in_thread(self.files.note)
        except OSError as error:
            self._fail(str(error))

    async def _in_thread(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _note_audit(self, what: str, *, result: str = "done") -> None:
        self._studio.audit.note(
            self._call_id, Participant(RECORDER), what, by="program", result=result
        )


def noted(call: CallEngine) -> list[str]:
    """Return the paths of the JSON files of a call's recordings that go on, or are to."""
    text = call.notes.get(NOTE, "")
    return list(json.loads(text)) if text else []


async def record(studio: Studio, call_id: CallId, plan: RecordingPlan, *, rate: int) -> Recorder:
    """Begin to record a call of ours; rate: Hz of all audio.

    Raises InvalidStateError for a call that was not answered, ConfigurationError without
    soundfile, OSError for a place that cannot be written to, and what observing a call raises.
    """
    load_soundfile()
    own = studio.engine(call_id)
    if own is None or own.session.phase in _GONE:
        raise CallClosedError("the call is over: there is nothing to record")
    if own.session.phase in {Phase.PENDING, Phase.ANSWERING}:
        raise InvalidStateError("nobody can be heard yet: answer() or connect() comes first")
    recording_id, now = secrets.token_hex(3), time.time()
    in_folder = plan.path.suffix.lower() != ".wav"
    if in_folder:
        stem = plan.path / new_stem(call_id, recording_id, now)
    else:
        stem = plan.path.with_suffix("")
    facts = Facts(
        recording_id,
        call_id,
        own.incoming.caller_number,
        own.incoming.callee_number,
        now,
        rate,
        coaching=plan.coaching,
        cut_pauses=plan.cut_pauses,
        part_seconds=plan.part_seconds,
        keep_seconds=plan.keep_seconds,
        keep_bytes=plan.keep_bytes,
        in_folder=in_folder,
    )
    recorder = Recorder(studio, RecordingFiles(stem, facts))
    await recorder.start(plan.announcement)
    return recorder


async def go_on(studio: Studio, call_id: CallId, sidecar: Path) -> Recorder:
    """Go on with what another program recorded of a call, in a part of its own.

    sidecar: one of ``noted(call)``. A pause goes on, too. Raises what ``record`` raises, and
    ValueError for a file that describes no recording.
    """
    load_soundfile()
    facts = Facts.read(sidecar)
    if facts.call_id != call_id:
        raise ValueError(f"{sidecar} is a recording of call {facts.call_id}")
    facts.ended_at = facts.end_cause = None
    recorder = Recorder(studio, RecordingFiles(sidecar.with_suffix(""), facts))
    await recorder.go_on()
    return recorder
