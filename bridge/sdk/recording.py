"""A recording of a call, as a program has it in hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from bridge.media.clips import load_wav
from bridge.media.pcm import AudioFormat, check_pcm
from bridge.media.recording import LONGEST_MINUTES
from bridge.model.errors import BadArgumentError, CallbridgeError, ConfigurationError
from bridge.runtime import CallEngine, Controller
from bridge.runtime.recorder import (
    Recorder,
    RecordingPlan,
    RecordingState,
    go_on,
    noted,
    record,
)
from bridge.sdk.events import CallEvent

_log = logging.getLogger(__name__)

_DAY_SECONDS: Final = 86_400.0

Pauses = Literal["silence", "cut"]
"""What a pause is in the file: silence as long as it, or nothing at all."""

Announcement = bytes | str | Path
"""PCM as for ``send_audio``, or a WAV file."""

OnEvent = Callable[[CallEvent, "Recording"], None]


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How a call is recorded; see ``ActiveCall.record``."""

    coaching: bool = False
    announce: Announcement | None = None
    pauses: Pauses = "silence"
    max_minutes: float = 60.0
    keep_days: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.pauses not in {"silence", "cut"}:
            raise BadArgumentError(f"pauses={self.pauses!r}: 'silence' or 'cut'")
        if not 0 < self.max_minutes <= LONGEST_MINUTES:
            raise BadArgumentError(
                f"max_minutes={self.max_minutes:g}: more than 0, at most {LONGEST_MINUTES:g}"
            )
        for name, value in (("keep_days", self.keep_days), ("max_bytes", self.max_bytes)):
            if value is not None and value <= 0:
                raise BadArgumentError(f"{name}={value:g}: more than 0, or None to keep all")


class Recording:
    """A recording that goes on until ``stop()``, or the end of the call, whichever is first.

    The left channel is the caller, the right one everybody whom he hears: callee, added parties,
    and the agent and observers who barge. Whispers are never in it. As an ``async with`` block it
    is stopped at the end of the block.
    """

    def __init__(self, recorder: Recorder, on_event: OnEvent) -> None:
        self._recorder = recorder
        self._on_event = on_event
        recorder.listeners.append(self._changed)

    def __repr__(self) -> str:
        return f"<Recording {self.path.name}: {self.state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def state(self) -> RecordingState:
        """RECORDING, PAUSED, ENDED or FAILED."""
        return self._recorder.state

    @property
    def failure(self) -> str:
        """Why it failed; empty otherwise."""
        return self._recorder.failure

    @property
    def path(self) -> Path:
        """The JSON that describes it: call, numbers, parts, pauses, and why it ended."""
        return self._recorder.files.sidecar

    @property
    def files(self) -> tuple[Path, ...]:
        """The WAV files, one for each part; they may be played while it goes on."""
        parts = self._recorder.facts.parts
        return tuple(self.path.with_name(part.file) for part in parts)

    @property
    def coaching_files(self) -> tuple[Path, ...]:
        """The WAV files with the whispers."""
        parts = self._recorder.facts.parts
        return tuple(self.path.with_name(part.coaching) for part in parts if part.coaching)

    @property
    def seconds(self) -> float:
        """How much of the call is recorded by now; it runs some 0.7 s behind the call."""
        return self._recorder.seconds

    @property
    def ended_by(self) -> str | None:
        """Why it ended: ``stopped``, ``caller_left``, ``call_ended``, …; None while it goes on."""
        return self._recorder.facts.end_cause

    async def pause(self) -> None:
        """Let nothing of anybody into the files from now on, such as the digits of a card.

        Raises CallClosedError when the recording is over. Idempotent.
        """
        await self._recorder.pause()

    async def resume(self) -> None:
        """End a pause, 0.25 s from now: what was said during it is still on its way.

        Raises CallClosedError when the recording is over. Idempotent.
        """
        await self._recorder.resume()

    async def stop(self) -> None:
        """End the recording; return when the files are whole. Idempotent."""
        await self._recorder.stop()

    async def wait_ended(self) -> RecordingState:
        """Wait until nothing more is written; return ENDED or FAILED."""
        await self._recorder.ended.wait()
        return self.state

    def _changed(self, recorder: Recorder) -> None:
        if recorder.state is RecordingState.FAILED:
            self._on_event(CallEvent.RECORDING_FAILED, self)
        elif recorder.state is RecordingState.ENDED:
            self._on_event(CallEvent.RECORDING_ENDED, self)


async def begin(
    controller: Controller,
    engine: CallEngine,
    path: str | Path,
    options: RecordingOptions,
    on_event: OnEvent,
) -> Recording:
    """Record a call; see ``ActiveCall.record``, also for what is raised."""
    target = Path(path)
    in_folder = target.suffix.lower() != ".wav"
    if not in_folder and (options.keep_days or options.max_bytes):
        raise BadArgumentError("keep_days and max_bytes are for a folder: give its path")
    rate = controller.settings.sample_rate
    keep_days = options.keep_days
    plan = RecordingPlan(
        target,
        coaching=options.coaching,
        cut_pauses=options.pauses == "cut",
        part_seconds=options.max_minutes * 60,
        keep_seconds=None if keep_days is None else keep_days * _DAY_SECONDS,
        keep_bytes=options.max_bytes,
        announcement=await _pcm(options.announce, AudioFormat(rate)),
    )
    try:
        recorder = await record(controller, engine.incoming.call_id, plan, rate=rate)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be recorded to: {error}") from error
    return Recording(recorder, on_event)


async def resume_recordings(
    controller: Controller, engine: CallEngine, on_event: OnEvent
) -> Sequence[Recording]:
    """Go on with what an earlier program recorded of a call that was taken up.

    What it recorded is noted in ``engine.notes["recording"]``. Each recording gets a new part, and
    is paused if it was. What cannot go on is logged, and forgotten.
    """
    recordings = []
    for path in noted(engine):
        try:
            recorder = await go_on(controller, engine.incoming.call_id, Path(path))
        except (CallbridgeError, OSError, ValueError) as error:
            call_id = engine.incoming.call_id
            _log.error("call %s is not recorded any more: %s: %s", call_id, path, error)
        else:
            recordings.append(Recording(recorder, on_event))
    return recordings


async def _pcm(announcement: Announcement | None, audio_format: AudioFormat) -> bytes:
    if announcement is None:
        return b""
    if isinstance(announcement, bytes):
        check_pcm(announcement)
        return announcement
    return await asyncio.to_thread(load_wav, Path(announcement), audio_format)
