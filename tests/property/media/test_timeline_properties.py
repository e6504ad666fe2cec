"""Whenever frames come, they are rendered in their order, each once, and where they belong."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.timeline import SETTLE_SECONDS, Samples, Track

RATE = 8000
FRAME = 160
delays = st.lists(
    st.one_of(st.just(0.0), st.floats(0.0, 0.02), st.floats(0.0, 1.5)), min_size=1, max_size=120
)
"""By how much each frame is late, unless one before it is later."""


def arrivals(late: list[float]) -> list[float]:
    """Return when frames come: in their order, however late."""
    due = [0.02 * (number + 1) + delay for number, delay in enumerate(late)]
    return list(accumulate(due, max))


def frame(number: int) -> bytes:
    return np.full(FRAME, 1000 + number, "<i2").tobytes()


def rendered(at: list[float], block: int) -> Samples:
    """Render as a recorder does: what came until some time before now."""
    track, found, pushed, now, start = Track(RATE, 0.0), [], 0, 0.0, 0
    while pushed < len(at) or start < (at[-1] + SETTLE_SECONDS) * RATE:
        now += block / RATE
        while pushed < len(at) and at[pushed] <= now:
            track.push(frame(pushed), at[pushed])
            pushed += 1
        while start + block <= (now - SETTLE_SECONDS) * RATE:
            found.append(track.render(start, block))
            start += block
    return np.concatenate(found)


@given(delays, st.sampled_from([160, 800, 1000]))
def test_frames_stay_in_order_and_come_once(late: list[float], block: int) -> None:
    pcm = rendered(arrivals(late), block)
    heard = pcm[pcm != 0]
    assert np.all(np.diff(heard.astype(np.int32)) >= 0)
    _, counts = np.unique(heard, return_counts=True)
    assert np.all(counts <= FRAME)


@given(st.lists(st.floats(0.0, 0.004), min_size=40, max_size=120))
def test_a_line_that_is_hardly_late_is_whole_and_in_place(late: list[float]) -> None:
    pcm = rendered(arrivals(late), 800)
    heard = pcm[pcm != 0]
    assert len(heard) == len(late) * FRAME
    first = int(np.flatnonzero(pcm)[0])
    assert 0 <= first / RATE <= 0.004
    assert np.all(pcm[first : first + len(heard)] != 0)


@given(st.floats(0.0, 0.25), st.integers(10, 60))
def test_a_loop_that_was_blocked_moves_nothing(blocked: float, begin: int) -> None:
    due = [0.02 * (number + 1) for number in range(100)]
    until = due[begin] + blocked
    at = [until if due[begin] <= d < until else d for d in due]
    pcm = rendered(at, 800)
    expected = np.repeat(np.arange(100), FRAME) + 1000
    assert pcm[: 100 * FRAME].tolist() == expected.tolist()
