"""A recording of a call, as a program has it in hand."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

from bridge.media.recording import LONGEST_MINUTES, SHORTEST_MINUTES
from bridge.model.errors import BadArgumentError, ConfigurationError, NotFoundError
from bridge.runtime.recorder import Recorder, RecordingPlan, RecordingState
from bridge.sdk.events import CallEvent
from bridge.sdk.sounds import Sound

_DAY_SECONDS: Final = 86_400.0

EVENTS: Final = {
    RecordingState.ENDED: CallEvent.RECORDING_ENDED,
    RecordingState.FAILED: CallEvent.RECORDING_FAILED,
}

Saved: TypeAlias = tuple[Path, ...]
"""Where files were put."""

Pauses = Literal["silence", "cut"]
"""What a pause is in the file: silence as long as it, or nothing at all."""


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How a call is recorded; see ``ActiveCall.record``."""

    coaching: bool = False
    announce: Sound | None = None
    pauses: Pauses = "silence"
    max_minutes: float = 60.0
    keep_days: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.pauses not in {"silence", "cut"}:
            raise BadArgumentError(f"pauses={self.pauses!r}: 'silence' or 'cut'")
        if not SHORTEST_MINUTES <= self.max_minutes <= LONGEST_MINUTES:
            raise BadArgumentError(
                f"max_minutes={self.max_minutes:g}: {SHORTEST_MINUTES:g} to {LONGEST_MINUTES:g}"
            )
        for name, value in (("keep_days", self.keep_days), ("max_bytes", self.max_bytes)):
            if value is not None and value <= 0:
                raise BadArgumentError(f"{name}={value:g}: more than 0, or None to keep all")

    def plan(self, path: str | Path) -> RecordingPlan:
        """Return what is to be done with it. Raises BadArgumentError."""
        target = Path(path)
        if target.suffix.lower() == ".wav" and (self.keep_days or self.max_bytes):
            raise BadArgumentError("keep_days and max_bytes are for a folder: give its path")
        return RecordingPlan(
            target,
            coaching=self.coaching,
            cut_pauses=self.pauses == "cut",
            part_seconds=self.max_minutes * 60,
            keep_seconds=None if self.keep_days is None else self.keep_days * _DAY_SECONDS,
            keep_bytes=self.max_bytes,
        )


class Recording:
    """A recording that goes on until ``stop()``, or the end of the call, whichever is first.

    The left channel is the caller, the right one everybody whom he hears: callee, added parties,
    and the agent and observers who barge. Whispers are never in it. As an ``async with`` block it
    is stopped at the end of the block.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.listeners: list[Callable[[CallEvent, Recording], None]] = []
        """Told that it ended, or failed; must not block."""
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
    def recording_id(self) -> str:
        """Names it among the recordings of all calls."""
        return f"{self._recorder.facts.call_id}-{self._recorder.facts.recording_id}"

    @property
    def began_at(self) -> float:
        """Seconds since 1970."""
        return self._recorder.facts.began_at

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

    async def fetch(self, name: str | Path | None = None, to: str | Path | None = None) -> Saved:
        """Bring the files of it here, those with the whispers included, or one by its name.

        to: a folder; by default the one that ``record`` was told. Returns where they are. It may
        go on meanwhile: what is written later is not in them. Raises NotFoundError for a name that
        is none of its files, ConfigurationError for a folder that cannot be written to.
        """
        files = {file.name: file for file in (*self.files, *self.coaching_files)}
        if name is not None and (wanted := Path(name).name) not in files:
            known = ", ".join(files) or "none yet"
            raise NotFoundError(f"{wanted!r} is no file of this recording; there are: {known}")
        chosen = [*files.values()] if name is None else [files[Path(name).name]]
        if to is None:
            return tuple(chosen)
        folder = Path(to)
        try:
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
            for file in chosen:
                with contextlib.suppress(shutil.SameFileError):
                    await asyncio.to_thread(shutil.copyfile, file, folder / file.name)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be written to: {error}") from error
        return tuple(folder / file.name for file in chosen)

    def _changed(self, recorder: Recorder) -> None:
        if (event := EVENTS.get(recorder.state)) is not None:
            for listener in list(self.listeners):
                listener(event, self)
