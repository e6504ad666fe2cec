"""Lost, or only late: a tone tells."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.lab.hearing import TONES, Pcm, tone
from bridge.lab.hearing.lost import Missing, missing

RATE = 16000
FRAME = 320


def voice(hz: float, seconds: float = 1.0) -> Pcm:
    return tone(hz, -15, seconds, RATE)


def silence(frames: int) -> Pcm:
    return np.zeros(frames * FRAME, np.int16)


@pytest.mark.parametrize("hz", list(TONES.values()))
@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("at", [8000, 8123])
def test_silence_that_was_put_in_is_told_from_silence_instead(
    hz: float, frames: int, at: int
) -> None:
    said = voice(hz)
    late = np.concatenate([said[:at], silence(frames), said[at:]])
    assert missing(late, RATE, hz) == Missing(lost=0, held_up=frames)
    replaced = np.concatenate([said[:at], silence(frames), said[at + frames * FRAME :]])
    assert missing(replaced, RATE, hz) == Missing(lost=frames, held_up=0)


@pytest.mark.parametrize("hz", list(TONES.values()))
def test_it_is_seen_beside_another_voice_too(hz: float) -> None:
    said = voice(hz)
    other = next(tone for tone in TONES.values() if abs(tone - hz) > 300)
    late = np.concatenate([said[:8000], silence(1), said[8000:]])
    heard = late + voice(other, len(late) / RATE)
    assert missing(heard, RATE, hz) == Missing(lost=0, held_up=1)
    assert missing(heard, RATE, other) == Missing(lost=0, held_up=0)


def test_a_frame_that_was_cut_out_is_lost() -> None:
    said = voice(559)
    assert missing(np.delete(said, slice(8000, 8320)), RATE, 559) == Missing(lost=1, held_up=0)


def test_several_holes_are_judged_each_for_itself() -> None:
    said = voice(559, 2.0)
    parts = [said[:8000], silence(1), said[8000:16000], silence(1), said[16320:]]
    assert missing(np.concatenate(parts), RATE, 559) == Missing(lost=1, held_up=1)


def test_a_voice_that_ends_is_lost() -> None:
    said = np.concatenate([voice(559, 0.5), silence(10)])
    assert missing(said, RATE, 559).lost >= 9
