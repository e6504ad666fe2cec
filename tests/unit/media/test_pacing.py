from __future__ import annotations

import pytest

from bridge.media.pacing import Correction, Pacer


def test_the_first_frame_goes_at_once_and_the_cushion_right_behind_it() -> None:
    pacer = Pacer(lead=0.06)
    now = 100.0
    sent = 0
    while pacer.due(now):
        pacer.sent(now)
        sent += 1
    assert sent == 4
    assert pacer.depth(now) == pytest.approx(0.08)
    assert pacer.due_at == pytest.approx(100.02)


def test_after_silence_nothing_is_queued_and_the_clock_starts_anew() -> None:
    pacer = Pacer(lead=0.06)
    pacer.sent(1.0)
    assert pacer.depth(50.0) == 0.0
    pacer.sent(50.0)
    assert pacer.queue_end == pytest.approx(50.02)


def test_a_flush_empties_the_model() -> None:
    pacer = Pacer(lead=0.06)
    for _ in range(4):
        pacer.sent(1.0)
    pacer.flushed(1.01)
    assert pacer.depth(1.01) == 0.0
    assert pacer.due(1.01)


def test_a_small_lag_is_followed_in_small_steps() -> None:
    pacer = Pacer()
    pacer.sent(1.0)
    end = pacer.queue_end
    assert pacer.correct(0.008) is Correction.NUDGED
    assert pacer.queue_end == pytest.approx(end + 0.002)
    assert pacer.correct(-0.008) is Correction.NUDGED
    assert pacer.queue_end == pytest.approx(end)
    # A loop that was late by 100 ms must not empty the cushion.
    assert pacer.correct(0.1) is Correction.NUDGED
    assert pacer.queue_end == pytest.approx(end + 0.004)


def test_a_backlog_is_taken_over_whole_and_waited_for() -> None:
    pacer = Pacer(lead=0.06)
    pacer.sent(1.0)
    assert pacer.correct(1.0) is Correction.RESYNCED
    assert not pacer.due(1.9)
    assert pacer.due(1.97)
