"""When the next frame may go: an absolute clock modelled on Asterisk's own queue. Pure.

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

_GAIN: Final = 0.25
_MAX_STEP: Final = 0.004
_RESYNC: Final = 0.150


class Correction(Enum):
    """What a measurement did to the model."""

    NUDGED = auto()
    """A small step towards the measured end: clocks that drift apart."""
    RESYNCED = auto()
    """Far off: the measured end was taken over whole, and sending pauses until it drained."""


class Pacer:
    """A model of the queue of one media socket.

    A frame may go as soon as no more than ``lead`` seconds are queued: the first one at once, the
    next few right behind it, then one every 20 ms.
    """

    def __init__(self, *, lead: float = DEFAULT_LEAD, frame: float = FRAME_SECONDS) -> None:
        self._lead = lead
        self._frame = frame
        self._end = -math.inf

    @property
    def queue_end(self) -> float:
        """When the last frame that was sent will have been played; minus infinity before any."""
        return self._end

    @property
    def due_at(self) -> float:
        """When the next frame may go."""
        return self._end - self._lead

    def due(self, now: float) -> bool:
        """Tell whether the next frame may go."""
        return self.due_at <= now

    def depth(self, now: float) -> float:
        """Seconds of audio that are still queued."""
        return max(0.0, self._end - now)

    def sent(self, now: float) -> None:
        """Count one frame as sent at ``now``."""
        self._end = max(now, self._end) + self._frame

    def flushed(self, now: float) -> None:
        """Forget what is queued: the socket's queue was emptied."""
        self._end = min(self._end, now)

    def correct(self, lag: float) -> Correction:
        """Take a measurement: how much later than modelled a mark was played, in seconds.

        Small differences are followed in small steps, since a late event loop looks like a late
        mark. A backlog is waited for and not flushed: flushing would lose audio, and the queue
        drains while nothing is sent.
        """
        if lag > _RESYNC:
            self._end += lag
            return Correction.RESYNCED
        self._end += max(-_MAX_STEP, min(_MAX_STEP, lag * _GAIN))
        return Correction.NUDGED
