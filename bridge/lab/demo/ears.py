"""Ears of the demonstration: where in what they heard a moment is, and since when a voice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from bridge.lab.hearing import Pcm, ToneMeter, first_heard, pcm_from_bytes
from bridge.lab.hearing.other import longest_silence_ms
from bridge.lab.phones import Phone, RecordPosition

FRAME_SECONDS = 0.020
LATEST_SECONDS = 1.0
"""A voice that a phone does not hear by then has nothing to do with the step."""

Frames = Sequence[tuple[float, bytes]]
"""(arrival in seconds of the monotonic clock, 20 ms of PCM)."""


class Ear(Protocol):
    """One listener's. Times are seconds of the monotonic clock."""

    @property
    def rate(self) -> int:
        """Hz."""

    async def note(self) -> None:
        """Note the present moment, so that moments near it can be placed."""

    def place(self, moment: float) -> float:
        """Return where ``moment`` is in what was heard, in seconds."""

    def audio(self) -> Pcm:
        """Return all that was heard; for phones only after they have stopped."""

    def heard_after(
        self, hz: float, since: float, threshold_dbfs: float, *, after_music: bool = False
    ) -> float | None:
        """Return milliseconds from ``since`` to the first frame with the tone, None for never.

        after_music: to the first one after which it is heard all the time, as music, too, has the
        tone for a moment.
        """

    def silence_ms(self, begin: float, end: float) -> float:
        """Return for how long at most nothing was heard between two moments."""


class FrameEar:
    """Hears frames as they arrive: no jitter buffer, no sound device, no codec of its own."""

    def __init__(self, frames: Callable[[], Frames], rate: int) -> None:
        self._frames = frames
        self.rate = rate

    async def note(self) -> None:
        """Nothing to do: every frame carries its time."""

    def place(self, moment: float) -> float:
        """See Ear."""
        return FRAME_SECONDS * sum(arrival < moment for arrival, _ in self._frames())

    def audio(self) -> Pcm:
        """See Ear."""
        frames = [pcm_from_bytes(frame) for _, frame in self._frames()]
        return np.concatenate(frames) if frames else np.zeros(0, np.int16)

    def heard_after(
        self, hz: float, since: float, threshold_dbfs: float, *, after_music: bool = False
    ) -> float | None:
        """See Ear."""
        later = [(at, frame) for at, frame in self._frames() if at >= since]
        if after_music:
            later = [(at, frame) for at, frame in later if at < since + LATEST_SECONDS]
            meter = ToneMeter(self.rate, hz, round(FRAME_SECONDS * self.rate))
            heard = [meter.dbfs(pcm_from_bytes(frame)) >= threshold_dbfs for _, frame in later]
            later = later[_lasting_from(heard) :]
        first = first_heard(later, self.rate, hz, threshold_dbfs)
        return None if first is None else (first - since) * 1000

    def silence_ms(self, begin: float, end: float) -> float:
        """See Ear. Frames that never came count as silence, at one place."""
        frames = [frame for at, frame in self._frames() if begin <= at < end]
        missing_ms = (end - begin - len(frames) * FRAME_SECONDS) * 1000
        heard = longest_silence_ms(pcm_from_bytes(b"".join(frames)), self.rate)
        return heard + max(0.0, round(missing_ms / 20) * 20.0)


class PhoneEar:
    """Hears what a phone plays: behind its codec and its jitter buffer."""

    def __init__(self, phone: Phone, path: Path, rate: int) -> None:
        self._phone = phone
        self._path = path
        self._notes: list[RecordPosition] = []
        self._audio: Pcm | None = None
        self.rate = rate

    async def note(self) -> None:
        """See Ear."""
        self._notes.append(await self._phone.record_position())

    def place(self, moment: float) -> float:
        """See Ear."""
        nearest = min(self._notes, key=lambda note: abs(note.monotonic - moment))
        return nearest.at(moment)

    def audio(self) -> Pcm:
        """See Ear."""
        if self._audio is None:
            samples, rate = soundfile.read(self._path, dtype="int16")
            if rate != self.rate:
                raise ValueError(f"{self._path}: {rate} Hz, not {self.rate}")
            self._audio = samples
        return self._audio

    def heard_after(
        self, hz: float, since: float, threshold_dbfs: float, *, after_music: bool = False
    ) -> float | None:
        """See Ear."""
        start = round(self.place(since) * self.rate)
        window = round(FRAME_SECONDS * self.rate)
        hop = window // 4
        pcm = self.audio()[start : start + round(LATEST_SECONDS * self.rate)]
        levels = ToneMeter(self.rate, hz, window).track(pcm, hop)
        heard = [level >= threshold_dbfs for level in levels]
        begin = _lasting_from(heard) if after_music else 0
        if not any(heard[begin:]):
            return None
        return heard.index(True, begin) * hop / self.rate * 1000

    def silence_ms(self, begin: float, end: float) -> float:
        """See Ear."""
        start, stop = (round(self.place(moment) * self.rate) for moment in (begin, end))
        return longest_silence_ms(self.audio()[start:stop], self.rate)


def _lasting_from(heard: Sequence[bool]) -> int:
    """Return from where on all are true; their number when the last one is not."""
    return max((index + 1 for index, there in enumerate(heard) if not there), default=0)
