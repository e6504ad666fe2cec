"""Speakers on one axis of time, by when their frames came. Pure: times are given as arguments.

Asterisk sends 20 ms of every line every 20 ms. A frame may come late, never early: of the frames
that are known, the least late one says where all of them belong. What is late for a moment (a
blocked event loop, a full network) keeps its place so, and what is missing leaves silence.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from bridge.media.pcm import FRAME_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

Samples = npt.NDArray[np.int16]

SETTLE_SECONDS: Final = 0.5
"""How long frames wait before they are rendered, so that those which are late find their place."""

MOST_SECONDS: Final = 30.0
"""So much is kept of a speaker whom nobody renders; then the oldest gives way."""

_SLACK_SECONDS: Final = 0.030
_QUIET_SLACK_SECONDS: Final = 0.010
"""By so much a speaker may be off his place: less where a step is not heard."""

_QUIET: Final = 184
"""Peak, of 32768: -45 dBFS."""


class Track:
    """One speaker's frames, placed to the sample.

    rate: Hz. begin: the time of sample 0, in seconds of the clock of all arrivals.
    """

    def __init__(self, rate: int, begin: float) -> None:
        self._rate = rate
        self._begin = begin
        self._count = 0
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._least: deque[tuple[int, float]] = deque()
        """Of those that wait, each that is less late than all after it: number, lateness."""
        self._origin: float | None = None
        """Where frame 0 would be, in seconds of the axis."""
        self._end = 0
        """The first sample that is not taken yet."""
        self._rest: list[tuple[int, Samples]] = []
        self.dropped_frames = 0
        """Frames that gave way because nobody rendered them, or that came too late."""

    def push(self, frame: bytes, at: float) -> None:
        """Take 20 ms, s16le mono, that ended at ``at``."""
        number, self._count = self._count, self._count + 1
        late = at - self._begin - (number + 1) * FRAME_SECONDS
        while self._least and self._least[-1][1] >= late:
            self._least.pop()
        self._least.append((number, late))
        self._waiting.append((number, frame))
        if len(self._waiting) > MOST_SECONDS / FRAME_SECONDS:
            self._take()
            self.dropped_frames += 1

    def render(self, start: int, count: int) -> Samples:
        """Return ``count`` samples from ``start`` on: later than all that were rendered before."""
        block = np.zeros(count, np.int16)
        rest, self._rest = self._rest, []
        for position, samples in rest:
            self._put(block, start, position, samples)
        while self._waiting:
            samples = np.frombuffer(self._waiting[0][1], "<i2").astype(np.int16, copy=False)
            origin = self._placed(samples)
            position = round((origin + self._waiting[0][0] * FRAME_SECONDS) * self._rate)
            if position >= start + count:
                break
            self._origin = origin
            self._take()
            # Who is moved back loses what lies before his last frame's end.
            position, samples = _after(self._end, position, samples)
            self._end = max(self._end, position + len(samples))
            if position + len(samples) <= start:
                self.dropped_frames += 1
            else:
                self._put(block, start, position, samples)
        return block

    def _placed(self, samples: Samples) -> float:
        lateness = self._least[0][1]
        if self._origin is None:
            return lateness
        quiet = np.abs(samples.astype(np.int32)).max(initial=0) < _QUIET
        slack = _QUIET_SLACK_SECONDS if quiet else _SLACK_SECONDS
        return lateness if abs(lateness - self._origin) > slack else self._origin

    def _take(self) -> None:
        number, _ = self._waiting.popleft()
        if self._least and self._least[0][0] == number:
            self._least.popleft()

    def _put(self, block: Samples, start: int, position: int, samples: Samples) -> None:
        position, samples = _after(start, position, samples)
        here = max(0, start + len(block) - position)
        if len(samples) > here:
            self._rest.append((position + here, samples[here:]))
            samples = samples[:here]
        block[position - start : position - start + len(samples)] = samples


class Timeline:
    """All speakers of a conversation on one axis; they may come at any time.

    rate: Hz. begin: the time of sample 0.
    """

    def __init__(self, rate: int, begin: float) -> None:
        self.rate = rate
        self._begin = begin
        self._tracks: dict[str, Track] = {}

    @property
    def dropped_frames(self) -> int:
        """Frames of all speakers that gave way."""
        return sum(track.dropped_frames for track in self._tracks.values())

    def sample(self, at: float) -> int:
        """Return the number of the sample at a time; negative before the beginning."""
        return round((at - self._begin) * self.rate)

    def push(self, speaker: str, frame: bytes, at: float) -> None:
        """Take 20 ms of a speaker that ended, and came, at ``at``."""
        track = self._tracks.get(speaker)
        if track is None:
            track = self._tracks[speaker] = Track(self.rate, self._begin)
        track.push(frame, at)

    def render(self, start: int, count: int) -> Mapping[str, Samples]:
        """Return everybody's ``count`` samples from ``start`` on; blocks come in order."""
        return {name: track.render(start, count) for name, track in self._tracks.items()}


def mixed(voices: list[Samples], count: int) -> Samples:
    """Add voices of ``count`` samples, saturating; nobody is silence."""
    total = np.zeros(count, np.int32)
    for voice in voices:
        total += voice
    return np.clip(total, -32768, 32767).astype(np.int16)


def _after(start: int, position: int, samples: Samples) -> tuple[int, Samples]:
    """Cut off what lies before ``start``."""
    cut = min(max(0, start - position), len(samples))
    return position + cut, samples[cut:]
