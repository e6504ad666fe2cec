"""Whether what was heard is what was to be heard."""

from __future__ import annotations

import numpy as np

from bridge.lab.acceptance.ears import RATE
from bridge.lab.acceptance.judging import (
    Scale,
    loudest_tone,
    peak_dbfs,
    sounding_seconds,
    tone_seconds,
)
from bridge.lab.acceptance.model import MUSIC, Hearing
from bridge.lab.hearing import TONES, Pcm, tone
from bridge.lab.phones import Codec

SCALE = Scale(Hearing(), {"anna": TONES["caller"], "ben": TONES["callee"]})


def said(*names: str, dbfs: float = -15.0, seconds: float = 0.5) -> Pcm:
    voices = [tone(SCALE.tones[name], dbfs, seconds, RATE).astype(np.float64) for name in names]
    mixed = np.sum(voices, axis=0) if voices else np.zeros(round(seconds * RATE))
    return np.rint(mixed).astype(np.int16)


def noise(dbfs: float, seconds: float = 0.5) -> Pcm:
    samples = np.random.default_rng(5).normal(0, 32768 * 10 ** (dbfs / 20), round(seconds * RATE))
    return np.clip(samples, -32768, 32767).astype(np.int16)


def wrong(pcm: Pcm, *wanted: str, scale: Scale = SCALE) -> list[str]:
    return scale.wrong(scale.heard("carl", pcm), wanted)


def test_exactly_those_who_are_wanted_are_right() -> None:
    assert wrong(said("anna", "ben"), "anna", "ben") == []
    assert wrong(said("anna"), "anna") == []
    assert wrong(said()) == []
    assert wrong(np.zeros(0, np.int16)) == [], "no audio is silence"


def test_absence_is_as_strict_as_presence() -> None:
    assert wrong(said("anna"), "anna", "ben")[0].startswith("carl does not hear ben")
    assert wrong(said("anna", "ben"), "anna")[0].startswith("carl hears, unwanted, ben")
    faint = said("anna") + said("ben", dbfs=-70.0)
    assert wrong(faint.astype(np.int16), "anna")[0].startswith("carl hears, unwanted, ben")
    narrow = Scale(Hearing(), SCALE.tones, Codec.PCMU.absent_below_db)
    assert wrong(faint.astype(np.int16), "anna", scale=narrow) == [], "G.711's own noise"
    given = Scale(Hearing(absent_below=70.0), SCALE.tones, Codec.PCMU.absent_below_db)
    assert wrong(faint.astype(np.int16), "anna", scale=given) != []


def test_a_voice_is_heard_as_loud_as_it_is_said() -> None:
    assert "too faint" in wrong(said("anna", dbfs=-20.0), "anna")[0]
    assert "too loud" in wrong(said("anna", dbfs=-9.0), "anna")[0]


def test_music_is_sound_that_is_no_voice() -> None:
    assert wrong(noise(-25.0), MUSIC) == []
    assert "hears no music" in wrong(said(), MUSIC)[0]
    assert "hears no music" in wrong(said("anna"), MUSIC, "anna")[0]
    assert any("music or noise, unwanted" in one for one in wrong(noise(-25.0)))


def test_a_voice_of_a_moment_is_noticed() -> None:
    quiet = said(seconds=0.3)
    flash = np.concatenate([quiet, said("ben", seconds=0.12), quiet])
    assert SCALE.flashed(flash, "ben")
    assert not SCALE.flashed(flash, "anna")
    assert not SCALE.flashed(quiet, "ben")


def test_when_a_voice_was_first_there() -> None:
    late = np.concatenate([said(seconds=0.2), said("ben", seconds=0.3)])
    first = SCALE.first(late, "ben")
    assert first is not None
    assert 180 <= first <= 200
    assert SCALE.first(late, "anna") is None


def test_lengths_of_tones_and_sounds() -> None:
    sound = np.concatenate([said(seconds=0.2), said("ben", seconds=0.3), said(seconds=0.2)])
    assert 0.26 <= tone_seconds(sound, SCALE.tones["ben"], -30.0) <= 0.32
    assert tone_seconds(sound, SCALE.tones["anna"], -45.0) == 0
    assert 0.28 <= sounding_seconds(sound, -40.0) <= 0.34
    assert round(loudest_tone(sound, SCALE.tones["ben"])) == -15
    assert loudest_tone(sound, 1500.0) < -55, "what a beginning voice is heard as elsewhere"
    assert loudest_tone(np.zeros(0, np.int16), 1500.0) == -120
    assert round(peak_dbfs(sound)) == -15
    assert peak_dbfs(np.zeros(0, np.int16)) == -120
