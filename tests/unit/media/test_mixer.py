"""The mix of speakers who stop, come late or all at once. A frame is one sample here."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.media.mixer import SETTLED, WAIT, Mixer

TICK = 0.020


def frame(value: int) -> bytes:
    return np.array([value], "<i2").tobytes()


def values(mixed: list[bytes]) -> list[int]:
    return [int(np.frombuffer(one, "<i2")[0]) for one in mixed]


class Line:
    """One of two lines whose ticks count up: the caller's by 200, the callee's by 1.

    200 carries a voice and 1 does not, so that ``caller`` and ``callee`` of a mixed frame are
    known, and a lead of the callee is one of quiet frames.
    """

    def __init__(self, mixer: Mixer, name: str, unit: int) -> None:
        self.mixer, self.name, self.unit = mixer, name, unit
        self.number = 0

    def tick(self, now: float, *, lost: bool = False) -> None:
        self.number += 1
        if not lost:
            self.mixer.push(self.name, frame(self.number % 150 * self.unit), now)


def lines(mixer: Mixer) -> tuple[Line, Line]:
    return Line(mixer, "caller", 200), Line(mixer, "callee", 1)


def test_the_mix_waits_for_every_live_speaker() -> None:
    mixer = Mixer(["caller", "callee"])
    mixer.push("caller", frame(1), 1.0)
    assert mixer.complete() == []
    mixer.push("callee", frame(10), 1.01)
    assert values(mixer.complete()) == [11]
    assert mixer.due_at is None


def test_it_waits_in_time_and_not_in_frames() -> None:
    mixer = Mixer(["caller", "callee"])
    for number in range(30):
        mixer.push("caller", frame(number), 1.0)
    assert mixer.complete() == mixer.due(1.0 + WAIT - 0.001) == []
    assert mixer.due_at == pytest.approx(1.0 + WAIT)
    assert values(mixer.due(1.0 + WAIT)) == list(range(30))


@pytest.mark.parametrize("ticks", [[10], [1] * 50 + [10] + [1] * 50, ([1] * 40 + [10]) * 5, [50]])
def test_bursts_of_one_speaker_after_the_other_give_a_frame_per_tick_with_both(
    ticks: list[int],
) -> None:
    mixer = Mixer(["caller", "callee"])
    mixed: list[bytes] = []
    now = 0.0
    for burst in ticks:
        now += burst * TICK
        for speaker, value in (("caller", 1), ("callee", 2)):
            for _ in range(burst):
                mixer.push(speaker, frame(value), now)
            mixed += mixer.complete()
    assert values(mixed) == [3] * sum(ticks)
    assert mixer.due_at is None


def test_a_speaker_who_stops_for_300_ms_and_comes_back_is_where_he_was() -> None:
    mixer = Mixer(["caller", "callee"])
    caller, callee = lines(mixer)
    mixed: list[bytes] = []
    latest = 0.0
    for tick in range(100):
        now = tick * TICK
        silent = 40 <= tick < 55
        caller.tick(now)
        mixed += mixer.due(now)
        callee.tick(now + 0.005, lost=silent)
        mixed += mixer.due(now + 0.005)
        if mixer.due_at is not None and not 40 <= tick < 45:
            latest = max(latest, now + TICK - (mixer.due_at - WAIT))
    # No frame of the mix lacks a voice that was there, and none is there twice. He who is back is
    # 15 ms later against the other than before: his first frame missed the other's of its tick.
    expected = [tick + 1 for tick in range(40)] + [0] * 16 + list(range(56, 100))
    assert values(mixed) == [(tick + 1) * 200 + other for tick, other in enumerate(expected)]
    assert latest <= TICK
    assert mixer.left_out == 0


def test_whoever_does_not_speak_is_waited_for_once_only() -> None:
    mixer = Mixer(["caller", "callee"])
    mixer.push("caller", frame(1), 1.0)
    assert values(mixer.due(1.0 + WAIT)) == [1]
    mixer.push("caller", frame(2), 1.1)
    assert values(mixer.complete()) == [2]
    mixer.push("callee", frame(10), 1.11)
    assert mixer.complete() == []
    mixer.push("caller", frame(3), 1.12)
    assert values(mixer.complete()) == [13]


def test_who_is_back_in_the_middle_of_a_stall_joins_the_newest_frames() -> None:
    mixer = Mixer(["caller", "callee"])
    mixer.push("caller", frame(1), 1.0)
    assert values(mixer.due(1.0 + WAIT)) == [1]
    for number in range(10):
        mixer.push("caller", frame(number * 10), 2.0)
    for number in range(7, 10):
        mixer.push("callee", frame(number), 2.0)
    assert values(mixer.complete()) == [0, 10, 20, 30, 40, 50, 60, 77, 88, 99]


def lose_two(mixer: Mixer, lagging: str, leading: str, levels: tuple[int, int]) -> None:
    """Two frames of one line are lost: from then on the other leads by two."""
    for tick in range(10):
        mixer.push(leading, frame(levels[1]), tick * TICK)
        if tick not in {4, 5}:
            mixer.push(lagging, frame(levels[0]), tick * TICK)
        assert set(values(mixer.complete())) <= {sum(levels)}


def test_the_leader_s_quiet_frames_are_left_out() -> None:
    mixer = Mixer(["caller", "callee"])
    lose_two(mixer, "caller", "callee", (1000, 1))
    mixed: list[bytes] = []
    for tick in range(10, 10 + 4 * SETTLED):
        mixer.push("callee", frame(1), tick * TICK)
        mixer.push("caller", frame(1000), tick * TICK)
        mixed += mixer.complete()
    assert mixer.due_at is None
    assert mixer.left_out == 2
    assert values(mixed) == [1001] * 4 * SETTLED


def test_while_the_others_are_quiet_the_leader_goes_alone() -> None:
    mixer = Mixer(["caller", "callee"])
    lose_two(mixer, "caller", "callee", (1, 1000))
    mixed: list[bytes] = []
    for tick in range(10, 10 + 4 * SETTLED):
        mixer.push("callee", frame(1000), tick * TICK)
        mixer.push("caller", frame(1), tick * TICK)
        mixed += mixer.complete()
    assert mixer.due_at is None
    assert mixer.left_out == 0
    assert sorted(values(mixed)) == [1000] * 2 + [1001] * 4 * SETTLED


def test_while_both_speak_nothing_is_left_out_and_a_lead_stays_below_the_wait() -> None:
    mixer = Mixer(["caller", "callee"])
    for tick in range(200):
        now = tick * TICK
        mixer.push("callee", frame(1000), now)
        if not 50 <= tick < 60:
            mixer.push("caller", frame(2000), now)
        mixer.due(now)
        assert mixer.due_at is None or mixer.due_at > now
    # A second line that was late, not silent: five frames at once, on top of its regular ones.
    heard = 0
    for tick in range(200, 300):
        now = tick * TICK
        for _ in range(6 if tick == 205 else 0 if 200 <= tick < 205 else 1):
            mixer.push("caller", frame(2000), now)
        mixer.push("callee", frame(1000), now)
        heard += sum(value >= 2000 for value in values(mixer.due(now)))
        assert mixer.due_at is None or mixer.due_at > now
    assert mixer.left_out == 0
    assert heard + sum(value >= 2000 for value in values(mixer.due(99.0))) == 100


def test_ticks_that_come_early_and_late_are_no_lead() -> None:
    mixer = Mixer(["caller", "callee"])
    mixed = 0
    for tick in range(200):
        mixer.push("caller", frame(1), tick * TICK)
        # One frame late, then two at once.
        for _ in range(tick % 2 * 2):
            mixer.push("callee", frame(1), tick * TICK)
        mixed += len(mixer.complete())
    assert (mixed, mixer.left_out) == (200, 0)


def test_a_leaver_is_heard_to_the_end_and_not_waited_for() -> None:
    mixer = Mixer(["caller", "callee"])
    mixer.push("callee", frame(5), 1.0)
    mixer.push("callee", frame(6), 1.0)
    assert mixer.leave("callee") == []
    mixer.push("caller", frame(100), 1.0)
    assert values(mixer.complete()) == [105]
    assert values(mixer.leave("caller")) == [6]
    mixer.push("caller", frame(1), 1.02)
    assert mixer.complete() == [frame(1)]
    assert mixer.leave("nobody") == []


def test_leaving_sets_free_what_waited_for_the_leaver() -> None:
    mixer = Mixer(["caller", "callee"])
    mixer.push("caller", frame(1), 1.0)
    mixer.push("caller", frame(2), 1.02)
    assert values(mixer.leave("callee")) == [1, 2]


def test_a_joiner_is_waited_for_from_his_first_frame_on() -> None:
    mixer = Mixer(["caller"])
    mixer.join("callee")
    mixer.push("caller", frame(1), 1.0)
    assert mixer.complete() == [frame(1)]
    mixer.push("callee", frame(10), 1.01)
    mixer.push("caller", frame(2), 1.02)
    assert values(mixer.complete()) == [12]
    mixer.push("caller", frame(3), 1.04)
    assert mixer.complete() == []
    # To join again, as a new line of the same party does, changes nothing.
    mixer.join("callee")
    mixer.push("callee", frame(10), 1.05)
    assert values(mixer.complete()) == [13]
