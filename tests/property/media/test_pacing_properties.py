"""The far queue neither runs dry nor grows, for hours, with ticks late and clocks apart."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.pacing import FIRST_REFILL, FRESH_AFTER, MOST_REFILL, Pacer, Refill

FRAME = 0.020
# As the far side hears them: what was held back is still said in the first part of a pause.
PAUSES = st.floats(FRESH_AFTER + MOST_REFILL + 3 * FRAME, 4)


@settings(max_examples=25, deadline=None)
@given(
    ppm=st.integers(-200, 200),
    phase=st.floats(0, FRAME),
    jitter=st.floats(0, 0.015),
    seed=st.integers(0, 2**32),
)
def test_no_drift(ppm: int, phase: float, jitter: float, seed: int) -> None:
    """Half an hour, at one wake-up a frame; what drifts at all has drifted by 18 frames by then.

    Sent against played, in the far side's clock: between is what is queued there.
    """
    noise = random.Random(seed)
    pacer = Pacer(lead=0.060)
    tick = FRAME / (1 + ppm * 1e-6)
    first = phase
    sent = 0
    played_of_marks: list[tuple[int, float]] = []
    shallowest, deepest = 99, 0
    now = 0.0
    while now < 1800.0:
        while pacer.due(now):
            # The far side has played one frame per tick, the first at its first tick.
            played = min(sent, max(0, int((now - first) // tick) + 1))
            if now > 0.2:
                shallowest = min(shallowest, sent - played)
            pacer.sent(now)
            sent += 1
            deepest = max(deepest, sent - played)
            if sent % 50 == 0:
                played_of_marks.append((sent, pacer.queue_end))
        if played_of_marks:
            number, expected = played_of_marks[0]
            at = first + number * tick
            if at <= now:
                played_of_marks.pop(0)
                pacer.correct(at + noise.uniform(0, jitter) - expected)
        now = max(now, pacer.due_at) + noise.uniform(0, jitter)
    assert shallowest >= 1
    assert deepest <= 6


@dataclass
class Far:
    """Asterisk's queue, fed by a sender in real time as Voice does it."""

    phase: float
    pacer: Pacer = field(default_factory=Pacer)
    refill: Refill = field(default_factory=Refill)
    held: list[float] = field(default_factory=list)
    """Arrivals that wait for the end of a refill."""
    queued: list[float] = field(default_factory=list)
    """When each frame came to Asterisk's queue."""
    refills: int = 0

    def arrive(self, now: float) -> None:
        self.pass_on(now)
        if not self.held:
            self.refills += self.refill.resume(now, self.pacer.measured_end)
        self.held.append(now)
        self.pass_on(now)

    def pass_on(self, now: float) -> None:
        at = max(self.refill.until, self.held[0]) if self.held else now
        while self.held and at <= now:
            self.held.pop(0)
            self.queued.append(at)
            self.pacer.sent(at)
            if self.pacer.measured_end is None:
                # What Voice's first mark finds: the tick that follows the frame's own.
                self.pacer.correct(self.tick_after(at) + FRAME - self.pacer.queue_end)

    def tick_after(self, moment: float) -> float:
        return self.phase + math.ceil((moment - self.phase) / FRAME) * FRAME

    def holes(self) -> list[float]:
        """Seconds of every interruption, oldest first."""
        missing = []
        playing = self.tick_after(self.queued[0])
        for came in self.queued[1:]:
            following = max(playing + FRAME, self.tick_after(came))
            if following - playing > 1.5 * FRAME:
                missing.append(following - playing - FRAME)
            playing = following
        return missing


@settings(max_examples=100, deadline=None)
@given(
    phase=st.floats(0, FRAME),
    drift=st.floats(0, 0.0015),
    jitter=st.floats(0, 0.012),
    seed=st.integers(0, 2**32),
)
def test_a_late_sender_is_interrupted_seldom(
    phase: float, drift: float, jitter: float, seed: int
) -> None:
    """Ten seconds. What a slow clock leaves out has to be silence; it comes in few pieces."""
    noise = random.Random(seed)
    far = Far(phase)
    now = 1.0
    for number in range(500):
        due = 1.0 + number * (FRAME + drift)
        now = max(now, due + (noise.uniform(-jitter, jitter) if number else 0))
        far.arrive(now)
    far.pass_on(now + 1)
    assert far.queued[0] == 1.0
    late = 500 * drift
    # One more than follows from this: a frame that comes on the tick itself may catch it or not.
    assert len(far.holes()) <= 3 + late / (MOST_REFILL - 2 * jitter - 2 * FRAME)
    assert max(far.holes(), default=0) <= MOST_REFILL + 3 * FRAME
    if not drift:
        assert len(far.holes()) <= 2
        assert sum(far.holes()) <= FIRST_REFILL + 3 * FRAME


@given(
    pauses=st.lists(PAUSES, min_size=1, max_size=10),
    phase=st.floats(0, FRAME),
)
def test_an_utterance_after_a_pause_is_never_held_back(pauses: list[float], phase: float) -> None:
    far = Far(phase)
    now = 1.0
    starts = []
    for pause in pauses:
        starts.append(now)
        for number in range(5):
            far.arrive(now + number * FRAME)
        now += 4 * FRAME + pause
        far.pass_on(now)
    assert set(starts) <= set(far.queued)
