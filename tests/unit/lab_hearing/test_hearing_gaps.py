"""Unit: lost frames are found, named and placed."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.lab.hearing import TONES, GapKind, gaps, tone
from bridge.model.errors import BadArgumentError

RATE = 16000
CALLER = TONES["caller"]


def test_an_unbroken_tone_has_no_gap() -> None:
    assert gaps(tone(CALLER, -15.0, 3.0, RATE), RATE, CALLER) == []


def test_a_frame_of_silence_is_placed_where_it_was() -> None:
    sound = tone(CALLER, -15.0, 1.0, RATE)
    sound[8000:8320] = 0
    (lost,) = gaps(sound, RATE, CALLER)
    assert lost.kind is GapKind.SILENCE
    assert lost.at_s == pytest.approx(0.5, abs=0.003)


def test_frames_cut_out_are_placed_at_the_seam() -> None:
    sound = tone(CALLER, -15.0, 1.0, RATE)
    lost = gaps(np.concatenate((sound[:8000], sound[8960:])), RATE, CALLER)
    assert [frame.kind for frame in lost] == [GapKind.SPLICE] * 3
    assert all(frame.at_s == pytest.approx(0.5, abs=0.003) for frame in lost)


def test_several_places_are_counted_one_by_one() -> None:
    sound = tone(CALLER, -15.0, 2.0, RATE)
    sound[4000:4320] = 0
    sound[9000:9640] = 0
    assert len(gaps(np.concatenate((sound[:20000], sound[20320:])), RATE, CALLER)) == 4


def test_a_hole_shorter_than_a_frame_counts_as_one() -> None:
    sound = tone(CALLER, -15.0, 1.0, RATE)
    sound[8000:8160] = 0
    assert len(gaps(sound, RATE, CALLER)) == 1


def test_a_voice_that_is_not_there_is_lost_altogether() -> None:
    other = tone(TONES["callee"], -15.0, 1.0, RATE)
    assert len(gaps(other, RATE, CALLER)) == 50


def test_a_voice_that_stops_is_lost_from_there_on() -> None:
    sound = tone(CALLER, -15.0, 1.0, RATE)
    sound[8000:] = 0
    assert len(gaps(sound, RATE, CALLER)) == pytest.approx(25, abs=1)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(BadArgumentError, match="60 ms"):
        gaps(tone(CALLER, -15.0, 0.05, RATE), RATE, CALLER)
    with pytest.raises(BadArgumentError, match="multiple of 50"):
        gaps(tone(1000.0, -15.0, 1.0, RATE), RATE, 1000.0)
