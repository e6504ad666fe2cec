"""Unit: the recommended tones can be told apart, and a tone is what it says."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from bridge.lab.hearing import TONES, tone
from bridge.model.errors import BadArgumentError

FREQUENCIES = tuple(TONES.values())


def _folded(hz: float, rate: int) -> float:
    within = abs(hz) % rate
    return min(within, rate - within)


def _products() -> set[float]:
    products = {n * f for f in FREQUENCIES for n in (2, 3, 5)}
    for f, g in permutations(FREQUENCIES, 2):
        products |= {f + g, abs(f - g), abs(2 * f - g), 2 * f + g}
    return {_folded(product, rate) for product in products for rate in (8000, 16000)}


def test_there_is_a_tone_for_every_voice_of_two_calls() -> None:
    assert len(set(FREQUENCIES)) == len(TONES) >= 8


@pytest.mark.parametrize("hz", FREQUENCIES)
def test_tones_pass_a_telephone_and_show_a_lost_frame(hz: float) -> None:
    assert 300 < hz < 3400
    assert hz % 50 != 0


def test_tones_are_far_enough_apart_to_be_separated_within_a_frame() -> None:
    ordered = sorted(FREQUENCIES)
    assert min(b - a for a, b in pairwise(ordered)) >= 170


@pytest.mark.parametrize("hz", FREQUENCIES)
def test_no_product_of_distortion_falls_on_a_tone(hz: float) -> None:
    assert min(abs(product - hz) for product in _products()) > 25


@pytest.mark.parametrize("hz", FREQUENCIES)
def test_up_to_ten_lost_frames_turn_the_phase_by_different_amounts(hz: float) -> None:
    turns = sorted(n * hz * 0.02 % 1 for n in range(11))
    distances = [b - a for a, b in pairwise(turns)]
    assert min(*distances, 1 - turns[-1]) * 360 >= 18 - 1e-6


def test_a_tone_has_the_peak_it_was_given() -> None:
    samples = tone(559.0, -15.0, 1.0, 16000)
    assert samples.dtype == np.int16
    assert len(samples) == 16000
    assert int(np.abs(samples).max()) == pytest.approx(32768 * 10 ** (-15 / 20), abs=1)


def test_pieces_of_a_tone_join_without_a_step() -> None:
    whole = tone(559.0, -15.0, 1.0, 16000)
    pieces = [tone(559.0, -15.0, 0.02, 16000, start) for start in range(0, 16000, 320)]
    assert np.array_equal(whole, np.concatenate(pieces))


def test_a_full_scale_tone_does_not_wrap_around() -> None:
    samples = tone(1000.0, 0.0, 1.0, 16000)
    assert int(samples.max()) == 32767
    assert int(samples.min()) == -32768


@pytest.mark.parametrize(("hz", "dbfs"), [(0.0, -15.0), (4000.0, -15.0), (559.0, 1.0)])
def test_a_tone_that_cannot_be_is_refused(hz: float, dbfs: float) -> None:
    with pytest.raises(BadArgumentError):
        tone(hz, dbfs, 1.0, 8000)
