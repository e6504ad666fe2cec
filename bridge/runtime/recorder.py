"""One recording of one call: what is heard, written in time, from its beginning to its end."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from bridge.media.recording import Facts, Pause, RecordingFiles, load_soundfile, new_stem
from bridge.media.timeline import SETTLE_SECONDS
from bridge.model.errors import CallClosedError, InvalidStateError
from bridge.model.ids import CallId
from bridge.model.participants import CALLER, Participant
from bridge.runtime.audit import PROGRAM, Audit, who_acts
from bridge.runtime.engine import CallEngine
from bridge.runtime.recorder_ears import RECORDER, Floor, RecorderEars
from bridge.session.observer.effects import LeftReason

_log = logging.getLogger(__name__)

NOTE: Final = "recording"
"""Under which ``engine.notes`` has the JSON files of a call's recordings, as a JSON list."""

PROGRAM_LEFT: Final = "program_left"
"""Why a recording ended that the next program goes on with."""

RESUME_SECONDS: Final = 0.25
"""What was said during a pause is on its way for so long: it is not recorded after its end."""

_TICK_SECONDS: Final = 0.1
_LONGEST_WRITE_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 0.06
"""How late a frame may be that was said before the end."""


Announce = Callable[[], Awaitable[None]]
"""Says to all parties that they are recorded; returns when they have heard it."""


class RecordingState(StrEnum):
    """How a recording stands."""

    RECORDING = "recording"
    PAUSED = "paused"
    ENDED = "ended"
    FAILED = "failed"
    """The files could not be written, or the call not be heard; the call itself goes on."""

    @property
    def is_over(self) -> bool:
        """Nothing more comes into its files."""
        return self in {RecordingState.ENDED, RecordingState.FAILED}


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


class Studio(Floor, Protocol):
    """Where calls and observers are: the controller."""

    @property
    def audit(self) -> Audit:
        """Who did what."""

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
        self._ears = RecorderEars(
            studio,
            self._call_id,
            rate=files.facts.rate,
            coaching=files.facts.coaching,
            on_left=self._ears_left,
        )
        # One thread, one write at a time; what waits for it waits in the timelines, which are
        # bounded: there the oldest gives way.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recording")
        self._now = asyncio.get_running_loop().time
        self._begin = 0.0
        self._offset = 0.0
        """Seconds of the recording that were before this program's."""
        self._written = 0
        """Samples that were rendered, those of cut pauses included."""
        self._stopping = asyncio.Event()
        self._stopped_at = 0.0
        self._cause = ""
        self._ended_by = ""
        """Who, or what, ended it: as in the audit."""

    @property
    def facts(self) -> Facts:
        """What the JSON beside the files says."""
        return self.files.facts

    @property
    def seconds(self) -> float:
        """How much of the call was written, its pauses counted."""
        return self._offset + self._written / self.facts.rate

    # --- commands -------------------------------------------------------------------------------

    async def start(self, announce: Announce | None = None) -> None:
        """Hear the call, announce, and begin to write; nothing is left when it raises.

        Raises CallbridgeError, OSError.
        """
        begun = False
        try:
            await self._in_thread(self.files.begin)
            begun = True
            await self._ears.attend()
            if announce is not None:
                await announce()
                self.facts.announced = True
                await self._in_thread(self.files.note)
            await self._in_thread(self.files.sweep)
            self.facts.began_at = time.time()
        except BaseException:
            await self._ears.leave()
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
            await self._in_thread(self.files.take_up)
            await self._ears.attend()
            self._offset = max(0.0, time.time() - self.facts.began_at)
            if self.facts.paused:
                self.state = RecordingState.PAUSED
                self._ears.be_deaf(math.inf)
        except BaseException:
            await self._ears.leave()
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
        self._ears.be_deaf(math.inf)
        self.facts.pauses.append(Pause(self._position()))
        self._change(RecordingState.PAUSED)
        self._note_audit("recording paused")
        await self._note()

    async def resume(self) -> None:
        """End a pause; what was said 0.25 s ago or later is recorded. As ``pause``."""
        self._require()
        if self.state is RecordingState.RECORDING:
            return
        self._ears.be_deaf(self._now() + RESUME_SECONDS)
        self.facts.pauses[-1].to_seconds = self._position() + RESUME_SECONDS
        self._change(RecordingState.RECORDING)
        self._note_audit("recording resumed")
        await self._note()

    async def stop(self, cause: str = "stopped") -> None:
        """End it, and return when the files are whole. Idempotent."""
        self._stop(cause, by=who_acts())
        await self.ended.wait()

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
        except Exception:  # noqa: BLE001 - a fault of ours: nobody is to believe that it goes on
            _log.exception("recording of call %s: cannot be kept", self._call_id)
            self._fail("it broke: the log says why")
        finally:
            self._stop(PROGRAM_LEFT)
            await _to_its_end(self._finish())

    async def _finish(self) -> None:
        try:
            await asyncio.sleep(_LATE_SECONDS)
            await self._write_to(self._stopped_at)
            await self._close_files()
        finally:
            self._thread.shutdown(wait=False)
            self._remember(cause=self._cause)
            await self._ears.leave()
            self.ended.set()

    async def _close_files(self) -> None:
        facts = self.facts
        if facts.paused and self._cause != PROGRAM_LEFT:
            facts.pauses[-1].to_seconds = self._position()
        facts.ended_at, facts.end_cause = time.time(), self._cause
        facts.dropped_frames += self._ears.dropped_frames
        try:
            await self._in_thread(self.files.close)
            await self._in_thread(self.files.sweep)
        except OSError as error:
            self._fail(str(error))
        if self.state is not RecordingState.FAILED:
            self._change(RecordingState.ENDED)
        what, result = f"recording ended: {self._cause}", self.failure or "done"
        self._note_audit(what, by=self._ended_by, result=result)

    async def _write_to(self, at: float) -> None:
        """Write what was heard up to a time."""
        rate = self.facts.rate
        end = self._ears.sample(at)
        while self._written < end and self.state is not RecordingState.FAILED:
            start = self._written
            count = min(end - start, round(_LONGEST_WRITE_SECONDS * rate))
            stereo, coaching = self._ears.render(start, count)
            self._written += count
            kept = self._kept(start, count)
            offset = self._offset + (start + int(np.argmax(kept))) / rate
            try:
                if kept.any():
                    await self._in_thread(
                        partial(self.files.write, stereo[kept], coaching[kept], offset)
                    )
            except OSError as error:
                self._fail(str(error))

    def _kept(self, start: int, count: int) -> npt.NDArray[np.bool_]:
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

    def _roll(self) -> None:
        """Begin to write."""
        self._begin = self._now()
        self._remember()
        self._note_audit(f"recording to {self.files.stem.name}")
        self._studio.spawn(self._run(), f"recording of {self._call_id}")
        self._ears.begin(self._begin)

    # --- ends -----------------------------------------------------------------------------------

    def _look_for_caller(self) -> None:
        if self._ears.have_moved():
            self._stop(str(LeftReason.CALL_ENDED))
        own = self._studio.engine(self._call_id)
        if own is None or own.session.phase.is_over:
            return
        if CALLER not in own.session.parties:
            self._stop("caller_left")

    def _ears_left(self, reason: LeftReason) -> None:
        match reason:
            case LeftReason.FAILED:
                self._fail("the call cannot be heard any more")
            case LeftReason.LEFT | LeftReason.HANDED_OVER:
                self._stop(PROGRAM_LEFT)
            case _:
                self._stop(str(reason))

    def _stop(self, cause: str, *, by: str = "callbridge") -> None:
        if not self._stopping.is_set():
            self._stopped_at, self._cause, self._ended_by = self._now(), cause, by
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
        if self.state.is_over or self._stopping.is_set():
            raise CallClosedError(f"the recording is over: {self.failure or self._cause}")

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

    def _note_audit(self, what: str, *, by: str = PROGRAM, result: str = "done") -> None:
        self._studio.audit.note(self._call_id, Participant(RECORDER), what, by=by, result=result)


def noted(call: CallEngine) -> list[str]:
    """Return the paths of the JSON files of a call's recordings that go on, or are to."""
    text = call.notes.get(NOTE, "")
    if not text:
        return []
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.MsgspecError as error:
        _log.warning("call %s: its recordings are not understood: %s", call.incoming.call_id, error)
        return []


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Await what is not to be broken off when we are cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def record(
    studio: Studio,
    call_id: CallId,
    plan: RecordingPlan,
    *,
    rate: int,
    announce: Announce | None = None,
) -> Recorder:
    """Begin to record a call of ours; rate: Hz of all audio. announce: awaited before.

    Raises InvalidStateError for a call that was not answered, ConfigurationError without
    soundfile, OSError for a place that cannot be written to, and what observing a call raises.
    """
    load_soundfile()
    own = studio.engine(call_id)
    if own is None or own.session.phase.is_over:
        raise CallClosedError("the call is over: there is nothing to record")
    if CALLER not in own.session.parties:
        raise InvalidStateError("there is no caller to be heard: answer() or connect() comes first")
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
    await recorder.start(announce)
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
    recorder = Recorder(studio, RecordingFiles(sidecar.with_suffix(""), facts))
    await recorder.go_on()
    return recorder
