"""Music is told from voices, and silence from both."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.lab.demo.ears import FrameEar
from bridge.lab.hearing import FLOOR_DBFS, TONES, Pcm, tone
from bridge.lab.hearing.other import longest_silence_ms, other_sound

RATE = 16000
FRAME = RATE // 50
VOICES = list(TONES.values())


def voices(*names: str, seconds: float = 1.0) -> Pcm:
    return sum((tone(TONES[name], -15, seconds, RATE) for name in names), np.zeros(1, np.int16))


def test_voices_are_no_music() -> None:
    assert other_sound(voices("caller", "agent", "other_callee"), RATE, VOICES) < -85


@pytest.mark.parametrize("names", [(), ("agent",)])
def test_a_chord_beside_voices_is_music(names: tuple[str, ...]) -> None:
    chord = [tone(hz, -27.0, 1.0, RATE) for hz in (440.0, 660.0)]
    heard = voices(*names) + sum(chord)
    assert other_sound(heard.astype(np.int16), RATE, VOICES) == pytest.approx(-24.0, abs=1.5)


def test_a_lost_frame_is_no_music() -> None:
    heard = voices("agent").copy()
    heard[8000 : 8000 + FRAME] = 0
    assert other_sound(heard, RATE, VOICES) < -85


def test_nothing_at_all_is_no_music() -> None:
    assert other_sound(np.zeros(0, np.int16), RATE, VOICES) == FLOOR_DBFS


def test_silence_is_as_long_as_its_longest_piece() -> None:
    heard = voices("agent").copy()
    heard[4 * FRAME : 6 * FRAME] = 0
    heard[20 * FRAME : 25 * FRAME] = 3
    heard[-FRAME:] = 0
    assert longest_silence_ms(heard, RATE) == 100
    assert longest_silence_ms(voices("agent"), RATE) == 0
    assert longest_silence_ms(np.zeros(0, np.int16), RATE) == 0


def test_frames_that_never_came_are_silence() -> None:
    frame = tone(TONES["agent"], -15, 0.02, RATE).astype("<i2").tobytes()
    came = [(100.0 + number / 50, frame) for number in range(50) if not 20 <= number < 26]
    ear = FrameEar(lambda: came, RATE)
    assert ear.silence_ms(100.0, 101.0) == 120
    assert ear.silence_ms(100.0, 100.4) == 0


def test_a_voice_after_music_is_heard_from_when_it_lasts() -> None:
    hz = TONES["agent"]
    heard = np.concatenate([tone(hz, dbfs, 0.1, RATE) for dbfs in (-16, -40, -15, -15)])
    frames = [
        (100.0 + number / 50, piece.astype("<i2").tobytes())
        for number, piece in enumerate(np.split(heard, 20))
    ]
    ear = FrameEar(lambda: frames, RATE)
    assert ear.heard_after(hz, 100.0, -18) == pytest.approx(0)
    assert ear.heard_after(hz, 100.0, -18, after_music=True) == pytest.approx(200)
    assert ear.heard_after(TONES["caller"], 100.0, -18, after_music=True) is None
