"""When the next frame may go: a clock modelled on Asterisk's own queue, and a refill. Pure.

chan_websocket takes one frame from its queue every 20 ms and its backlog never drains by itself,
so the sender has to know how much is queued there without asking. Times are seconds of one
monotonic clock, given as arguments.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import Final

from bridge.media.pcm import FRAME_SECONDS

DEFAULT_LEAD: Final = 0.060
"""Cushion in Asterisk's queue, seconds: what a late event loop may take without a gap."""

FAR_LEAD: Final = 0.240
"""The same, for audio that was sent far ahead of time: a program that blocks the event loop for
200 ms (a synchronous request, a garbage collection) is not heard. It costs nothing: a flush cuts
what is queued, and nothing that is said in real time waits behind it."""

_GAIN: Final = 0.25
_MAX_STEP: Final = 0.004
_RESYNC: Final = 0.150
_LATE: Final = 0.040

_PHASE_KEPT: Final = 5.0
_TOO_CLOSE: Final = 0.003
_AT_ONCE: Final = 0.200
"""Seconds. Who sends more than this at once is ahead of time, not late."""

FIRST_REFILL: Final = 0.040
"""Seconds. Enough for a sender with an exact clock that wakes up late by this much."""

MOST_REFILL: Final = 0.160
"""Seconds. For a sender whose clock is slow: his stream must stop now and then in any case, and it
stops seldom and for longer rather than many times a second."""

FRESH_AFTER: Final = 0.100
"""Seconds of silence after which audio is a new utterance and not the rest of the last one."""


class Correction(Enum):
    """What a measurement did to the model."""

    NUDGED = auto()
    """A small step towards the measured end: clocks that drift apart."""
    DOUBTED = auto()
    """Far off, and so ignored: there is a backlog, or our event loop was blocked and the mark was
    read late. ``count`` tells which."""


class Pacer:
    """A model of the queue of one media socket.

    A frame may go as soon as no more than ``lead`` seconds are queued: the first one at once, the
    next few right behind it, then one every 20 ms. ``lead`` may be changed at any time. Until the
    first measurement the far side is taken to tick at the moment when a frame comes to its empty
    queue: the soonest that can be.
    """

    def __init__(self, *, lead: float = DEFAULT_LEAD, frame: float = FRAME_SECONDS) -> None:
        self.lead = lead
        self._frame = frame
        self._end = -math.inf
        self._measured = False

    @property
    def queue_end(self) -> float:
        """When the last frame that was sent will have been played; minus infinity before any."""
        return self._end

    @property
    def measured_end(self) -> float | None:
        """The tick that finds the queue empty if nothing more is sent; None if only modelled."""
        return self._end if self._measured else None

    @property
    def due_at(self) -> float:
        """When the next frame may go."""
        return self._end - self.lead

    def due(self, now: float) -> bool:
        """Tell whether the next frame may go."""
        return self.due_at <= now

    def depth(self, now: float) -> float:
        """Seconds of audio that are still queued."""
        return max(0.0, self._end - now)

    def sent(self, now: float) -> None:
        """Count one frame as sent at ``now``."""
        if now > self._end:
            self._measured = self._measured and now - self._end < _PHASE_KEPT
            late = math.ceil((now - self._end) / self._frame) if self._measured else 0
            self._end = self._end + late * self._frame if self._measured else now
        self._end += self._frame

    def flushed(self, now: float) -> None:
        """Forget what is queued: the socket's queue was emptied."""
        if self._end > now:
            self._end = now
            self._measured = False

    def ran_dry(self, at: float) -> None:
        """Take a measurement: the tick that was told of at ``at`` found the queue empty.

        It says when Asterisk ticks, unless it came so late that our event loop may have been
        blocked meanwhile.
        """
        self._measured = at - self._end <= _LATE
        self._end = at

    def correct(self, lag: float) -> Correction:
        """Take a measurement: how much later than modelled a mark was played, in seconds.

        The first one tells where in the 20 ms the far side ticks. From then on small differences
        are followed in small steps, since a late event loop looks like a late mark.
        """
        if lag > _RESYNC:
            return Correction.DOUBTED
        if not self._measured and 0 <= lag <= self._frame:
            self._measured = True
            self._end += lag
        else:
            self._end += max(-_MAX_STEP, min(_MAX_STEP, lag * _GAIN))
        return Correction.NUDGED

    def count(self, frames: int, asked: float, expected: float) -> bool:
        """Take a measurement: ``frames`` were queued at some time after ``asked``.

        expected: ``queue_end`` when that was asked. However late the answer was read, the queue
        does not end before these frames have been played from ``asked`` on: if that is far beyond
        what was expected, there is a backlog. It is waited for and not flushed: flushing would
        lose audio, and the queue drains while nothing is sent. Tells whether it was so.
        """
        backlog = asked + frames * self._frame - max(asked, expected)
        if backlog <= _RESYNC:
            return False
        self._end += backlog
        return True


class Refill:
    """Holds a stream back that runs dry in mid-speech, so that it gets a cushion. Pure.

    Nothing is held back at the beginning of an utterance: its first frame is heard at once. Who
    sends in real time and comes too late for the next tick, or would at the next wink, has what
    he sends held back for FIRST_REFILL, and for MOST_REFILL if that was not enough. Silence of
    FRESH_AFTER begins anew.
    """

    def __init__(self) -> None:
        self._hold = FIRST_REFILL
        self._until = -math.inf
        self._fresh = True

    @property
    def until(self) -> float:
        """Until when audio is held back; in the past when it is not."""
        return self._until

    def resume(self, now: float, end: float | None, ahead: float = 0.0) -> bool:
        """Audio comes with none waiting before it; tell whether it is held back from now on.

        end: the tick that finds the far queue empty if nothing comes; None if that is not known.
        ahead: seconds of audio that come at once.
        """
        fresh, self._fresh = self._fresh, False
        if end is None or fresh or now < end - _TOO_CLOSE or ahead > _AT_ONCE:
            return False
        if now > end + FRESH_AFTER:
            self._hold = FIRST_REFILL
            return False
        self._until = now + self._hold
        self._hold = MOST_REFILL
        return True

    def begin_anew(self) -> None:
        """Hold nothing back: what comes next is not the rest of what was said before."""
        self._fresh = True
        self._until = -math.inf
