from __future__ import annotations

import pytest

from bridge.media.pacing import FIRST_REFILL, MOST_REFILL, Correction, Pacer, Refill


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


def test_the_first_measurement_tells_where_in_20_ms_the_far_side_ticks() -> None:
    pacer = Pacer()
    pacer.sent(1.0)
    assert pacer.measured_end is None
    pacer.correct(0.008)
    assert pacer.measured_end == pytest.approx(1.028)
    # It went on ticking at 1.028, 1.048 and 1.068: a frame that comes at 1.05 waits for the last.
    pacer.sent(1.05)
    assert pacer.measured_end == pytest.approx(1.088)
    # After a pause that lets two clocks drift apart it is not known any more.
    pacer.sent(9.0)
    assert pacer.measured_end is None
    assert pacer.queue_end == pytest.approx(9.02)


def test_a_queue_that_was_seen_dry_is_a_measurement() -> None:
    pacer = Pacer()
    pacer.sent(1.0)
    pacer.ran_dry(1.033)
    pacer.sent(1.034)
    assert pacer.measured_end == pytest.approx(1.073)
    pacer.flushed(1.035)
    assert pacer.measured_end is None


def test_a_small_lag_is_followed_in_small_steps() -> None:
    pacer = Pacer()
    pacer.sent(1.0)
    pacer.correct(0.0)
    end = pacer.queue_end
    assert pacer.correct(0.008) is Correction.NUDGED
    assert pacer.queue_end == pytest.approx(end + 0.002)
    assert pacer.correct(-0.008) is Correction.NUDGED
    assert pacer.queue_end == pytest.approx(end)
    # A loop that was late by 100 ms must not empty the cushion.
    assert pacer.correct(0.1) is Correction.NUDGED
    assert pacer.queue_end == pytest.approx(end + 0.004)


def test_a_mark_that_comes_far_too_late_says_nothing_by_itself() -> None:
    pacer = Pacer(lead=0.06)
    pacer.sent(1.0)
    assert pacer.correct(1.0) is Correction.DOUBTED
    assert pacer.queue_end == pytest.approx(1.02)


def test_a_backlog_that_was_counted_is_taken_over_whole_and_waited_for() -> None:
    pacer = Pacer(lead=0.06)
    pacer.sent(1.0)
    assert pacer.count(51, asked=1.0, expected=1.02)
    assert not pacer.due(1.9)
    assert pacer.due(1.97)


def test_what_was_counted_is_judged_by_when_it_was_asked_for() -> None:
    pacer = Pacer(lead=0.24)
    for _ in range(13):
        pacer.sent(1.0)
    end = pacer.queue_end
    # 13 frames are what was sent; how late the answer is read does not matter.
    assert not pacer.count(13, asked=1.0, expected=end)
    assert not pacer.count(20, asked=1.0, expected=end)
    assert pacer.queue_end == end
    # A queue that should have been empty long ago.
    assert pacer.count(20, asked=9.0, expected=end)


def test_a_queue_that_was_seen_dry_by_a_late_loop_is_no_measurement() -> None:
    pacer = Pacer()
    pacer.sent(1.0)
    pacer.ran_dry(1.2)
    assert pacer.measured_end is None
    assert pacer.queue_end == pytest.approx(1.2)


def test_the_lead_may_be_changed_at_any_time() -> None:
    pacer = Pacer(lead=0.06)
    for _ in range(4):
        pacer.sent(1.0)
    assert not pacer.due(1.0)
    pacer.lead = 0.24
    assert pacer.due(1.0)


def test_the_beginning_of_an_utterance_is_not_held_back() -> None:
    refill = Refill()
    assert not refill.resume(1.0, None)
    assert not refill.resume(5.0, 1.0)
    assert refill.until < 1.0


def test_who_comes_too_late_is_held_back_for_longer_the_second_time() -> None:
    refill = Refill()
    refill.resume(1.0, None)
    assert not refill.resume(1.02, 1.03)
    assert refill.resume(1.041, 1.04)
    assert refill.until == pytest.approx(1.041 + FIRST_REFILL)
    assert refill.resume(2.0, 1.999)
    assert refill.until == pytest.approx(2.0 + MOST_REFILL)
    # A pause: the next utterance starts at once, and with little patience again.
    assert not refill.resume(4.0, 3.0)
    assert refill.resume(4.1, 4.1)
    assert refill.until == pytest.approx(4.1 + FIRST_REFILL)


def test_what_is_said_in_another_mode_is_not_held_back() -> None:
    refill = Refill()
    refill.resume(1.0, None)
    assert refill.resume(1.05, 1.04)
    refill.begin_anew()
    assert refill.until < 1.05
    assert not refill.resume(1.06, 1.05)
    assert refill.resume(1.10, 1.10)


def test_a_sentence_that_comes_at_once_is_not_held_back() -> None:
    refill = Refill()
    refill.resume(1.0, None)
    assert not refill.resume(1.05, 1.04, ahead=2.0)
    assert refill.resume(3.05, 3.04, ahead=0.1)
