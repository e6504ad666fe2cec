"""A lost frame does not pass for a voice, and a voice does not pass for a lost frame."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.lab.hearing import Pcm, levels, tone
from bridge.lab.hearing.steady import steady_levels

RATE = 16000
TONES = {"caller": 559.0, "ai": 1559.0}
FRAME = 320


def with_lost_frames(pcm: Pcm, *at: int) -> Pcm:
    return np.delete(pcm, np.concatenate([np.arange(a, a + FRAME) for a in at]))


def test_a_lost_frame_is_not_taken_for_the_agent() -> None:
    pcm = with_lost_frames(tone(559.0, -15, 1.0, RATE), 7000)
    heard = steady_levels(pcm, RATE, TONES, [559.0])
    assert heard["ai"] < levels(pcm, RATE, TONES)["ai"] - 20
    assert heard["caller"] == pytest.approx(-15, abs=0.1)


@pytest.mark.parametrize("start", [3000, 8000, 12000])
def test_a_voice_of_one_frame_is_still_found(start: int) -> None:
    pcm = tone(559.0, -15, 1.0, RATE)
    pcm[start : start + FRAME] += tone(1559.0, -15, FRAME / RATE, RATE)
    assert steady_levels(pcm, RATE, TONES, [559.0])["ai"] > -75


def test_a_voice_that_is_half_missing_is_not_made_whole() -> None:
    pcm = tone(559.0, -15, 1.0, RATE)
    pcm[4000:12000] = 0
    assert steady_levels(pcm, RATE, TONES, [559.0])["caller"] < -18
