"""The far queue neither runs dry nor grows, for hours, with ticks late and clocks apart."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.pacing import Pacer

FRAME = 0.020


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
    noise = random.Random(seed)  # noqa: S311 - jitter, no secret
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
