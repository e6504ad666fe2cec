"""Speakers on one axis of time, whenever their frames come."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.media.timeline import MOST_SECONDS, SETTLE_SECONDS, Samples, Timeline, Track, mixed

RATE = 8000
FRAME = 160


def ramp(number: int) -> bytes:
    """A loud frame of which every sample says where it belongs."""
    return (2000 + np.arange(number * FRAME, (number + 1) * FRAME)).astype("<i2").tobytes()


def expected(first: int, count: int) -> Samples:
    return (2000 + np.arange(first * FRAME, (first + count) * FRAME)).astype(np.int16)


def rendered(track: Track, seconds: float, block: int = 800) -> Samples:
    """Render from the beginning, in blocks."""
    blocks = [track.render(start, block) for start in range(0, round(seconds * RATE), block)]
    return np.concatenate(blocks)


def test_frames_in_time_lie_where_they_were_said() -> None:
    track = Track(RATE, begin=100.0)
    for number in range(10):
        track.push(ramp(number), 100.0 + 0.02 * (number + 1))
    assert rendered(track, 0.2).tolist() == expected(0, 10).tolist()


def test_a_speaker_lies_where_he_is_to_the_sample() -> None:
    track = Track(RATE, begin=100.0)
    for number in range(10):
        track.push(ramp(number), 100.02 + 0.0075 + 0.02 * number)
    found = rendered(track, 0.3)
    assert not np.any(found[:60])
    assert found[60 : 60 + 10 * FRAME].tolist() == expected(0, 10).tolist()


def test_what_came_late_in_a_heap_keeps_its_place() -> None:
    track = Track(RATE, begin=0.0)
    for number in range(40):
        due = 0.02 * (number + 1)
        # Nothing was read between 0.2 and 0.45 s.
        track.push(ramp(number), 0.45 if 0.2 < due < 0.45 else due)
    assert rendered(track, 0.8).tolist() == expected(0, 40).tolist()


def test_what_was_never_sent_is_silence_and_moves_nothing() -> None:
    track = Track(RATE, begin=0.0)
    for number in range(50):
        if not 10 <= number < 30:
            track.push(ramp(number), 0.02 * (number + 1))
    found = rendered(track, 1.0)
    assert found[: 10 * FRAME].tolist() == expected(0, 10).tolist()
    assert not np.any(found[10 * FRAME : 30 * FRAME])
    assert found[30 * FRAME :].tolist() == expected(30, 20).tolist()


def test_a_wait_for_the_late_ones_is_enough_for_those_up_to_it() -> None:
    """As the recorder does it: what came some time before now is rendered."""
    track, found = Track(RATE, begin=0.0), []
    arrivals = [(0.02 * (n + 1) + (0.12 if 20 <= n < 30 else 0.0), n) for n in range(100)]
    pushed = 0
    for tick in range(1, 24):
        now = tick * 0.1
        while pushed < len(arrivals) and max(a for a, _ in arrivals[: pushed + 1]) <= now:
            track.push(ramp(pushed), max(a for a, _ in arrivals[: pushed + 1]))
            pushed += 1
        end = round((now - SETTLE_SECONDS) * RATE)
        if end > 0:
            found.append(track.render(end - 800, 800))
    assert np.concatenate(found)[: 85 * FRAME].tolist() == expected(0, 85).tolist()


def test_a_clock_that_runs_apart_is_followed() -> None:
    """100 ppm for an hour are 0.36 s: the speaker is never further off than 30 ms."""
    track = Track(RATE, begin=0.0)
    block, frames = 8000, 50 * 600
    drift = 1.0 + 600e-6
    marks = []
    for number in range(frames):
        # A click once a second of the speaker's own clock.
        pcm = np.full(FRAME, 3000, "<i2")
        if number % 50 == 0:
            pcm[0] = 20000
        track.push(pcm.tobytes(), 0.02 * drift * (number + 1))
        if number % 50 == 49 and number > 100:
            start = (number // 50 - 2) * block
            found = track.render(start, block)
            marks += [start + int(at) for at in np.flatnonzero(found == 20000)]
    for mark in marks:
        second = mark / RATE
        nearest = round(second / drift) * drift
        assert abs(second - nearest) <= 0.031
    assert len(marks) >= 590


def test_the_oldest_gives_way_when_nobody_renders() -> None:
    track = Track(RATE, begin=0.0)
    most = round(MOST_SECONDS / 0.02)
    for number in range(most + 100):
        track.push(ramp(0), 0.02 * (number + 1))
    assert track.dropped_frames == 100
    found = track.render(0, round((MOST_SECONDS + 2) * RATE))
    assert not np.any(found[: 100 * FRAME])
    assert np.all(found[100 * FRAME :] != 0)


def test_what_comes_after_its_time_was_rendered_is_counted() -> None:
    track = Track(RATE, begin=0.0)
    track.push(ramp(0), 0.02)
    assert track.render(0, 8000)[:FRAME].tolist() == expected(0, 1).tolist()
    track.push(ramp(1), 0.04)
    assert not np.any(track.render(8000, 800))
    assert track.dropped_frames == 1


def test_speakers_are_on_one_axis() -> None:
    timeline = Timeline(RATE, begin=50.0)
    for number in range(20):
        timeline.push("caller", ramp(number), 50.0 + 0.02 * (number + 1))
        if number >= 10:
            timeline.push("callee", ramp(number), 50.0 + 0.02 * (number + 1))
    assert timeline.sample(50.5) == 4000
    voices = timeline.render(0, 20 * FRAME)
    assert voices["caller"].tolist() == expected(0, 20).tolist()
    assert not np.any(voices["callee"][: 10 * FRAME])
    assert voices["callee"][10 * FRAME :].tolist() == expected(10, 10).tolist()
    assert timeline.dropped_frames == 0


def test_voices_are_added_and_saturate() -> None:
    one, two = np.array([1, 30000, -30000], np.int16), np.array([2, 10000, -10000], np.int16)
    assert mixed([one, two], 3).tolist() == [3, 32767, -32768]
    assert mixed([], 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("block", [100, 160, 333, 8000])
def test_blocks_of_any_length_hold_the_same(block: int) -> None:
    track = Track(RATE, begin=0.0)
    for number in range(50):
        track.push(ramp(number), 0.02 * (number + 1) + 0.003)
    found = rendered(track, 1.1, block)
    assert found[24 : 24 + 50 * FRAME].tolist() == expected(0, 50).tolist()
    assert not np.any(found[:24])
