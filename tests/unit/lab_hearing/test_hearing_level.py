"""Unit: levels of tones, and the moment when one is first heard."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.lab.hearing import FLOOR_DBFS, TONES, ToneMeter, first_heard, level_dbfs, levels, tone
from bridge.model.errors import BadArgumentError

RATE = 16000
CALLER, CALLEE, AGENT = TONES["caller"], TONES["callee"], TONES["agent"]


def test_silence_measures_the_floor() -> None:
    assert level_dbfs(np.zeros(RATE, np.int16), RATE, CALLER) == FLOOR_DBFS


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_every_voice_of_a_mix_measures_what_was_sent(rate: int) -> None:
    mix = (
        tone(CALLER, -15.0, 0.5, rate)
        + tone(CALLEE, -21.0, 0.5, rate)
        + tone(AGENT, -40, 0.5, rate)
    )
    measured = levels(mix, rate, {**TONES})
    assert measured["caller"] == pytest.approx(-15.0, abs=0.05)
    assert measured["callee"] == pytest.approx(-21.0, abs=0.05)
    assert measured["agent"] == pytest.approx(-40.0, abs=0.05)
    for absent in set(TONES) - {"caller", "callee", "agent"}:
        assert measured[absent] < -100


def test_a_faint_leak_below_a_loud_voice_is_seen() -> None:
    mix = tone(CALLER, -6.0, 1.0, RATE) + tone(CALLEE, -75.0, 1.0, RATE)
    assert level_dbfs(mix, RATE, CALLEE) == pytest.approx(-75.0, abs=0.5)


def test_too_little_audio_is_refused_rather_than_misread() -> None:
    with pytest.raises(BadArgumentError, match="too short"):
        levels(np.zeros(RATE // 20, np.int16), RATE, {"caller": CALLER})


def test_meter_tracks_a_tone_frame_by_frame() -> None:
    half = RATE // 2
    sound = np.concatenate((np.zeros(half, np.int16), tone(CALLER, -15.0, 0.5, RATE)))
    track = ToneMeter(RATE, CALLER, 320).track(sound, 320)
    assert len(track) == 50
    assert track[:25] == [FLOOR_DBFS] * 25
    assert all(level == pytest.approx(-15.0, abs=0.1) for level in track[25:])


def test_meter_refuses_a_window_of_another_length() -> None:
    with pytest.raises(BadArgumentError, match="320"):
        ToneMeter(RATE, CALLER, 320).dbfs(np.zeros(160, np.int16))


def test_meter_has_nothing_to_say_about_less_than_a_window() -> None:
    assert ToneMeter(RATE, CALLER, 320).track(np.zeros(319, np.int16), 320) == []


def _frames(sound: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[tuple[float, bytes]]:
    return [
        (100 + n * 0.02, sound[n * 320 : (n + 1) * 320].astype("<i2").tobytes())
        for n in range(len(sound) // 320)
    ]


@pytest.mark.parametrize("late_by", [0, 100, 200])
def test_first_heard_is_the_frame_in_which_the_voice_begins(late_by: int) -> None:
    others = tone(CALLER, -15.0, 1.0, RATE) + tone(CALLEE, -15.0, 1.0, RATE)
    begins = 25 * 320 + late_by
    others[begins:] += tone(AGENT, -15.0, 1.0, RATE)[begins:]
    assert first_heard(_frames(others), RATE, AGENT, -40.0) == pytest.approx(100.5)


def test_first_heard_is_none_when_the_voice_never_comes() -> None:
    others = tone(CALLER, -15.0, 1.0, RATE) + tone(CALLEE, -15.0, 1.0, RATE)
    assert first_heard(_frames(others), RATE, AGENT, -60.0) is None
    assert first_heard([(1.0, b"")], RATE, AGENT, -60.0) is None
