"""Humans and answering machines, made of syllables and noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bridge.media.answering import Answering, Greeting, Verdict
from bridge.media.loudness import Loudness
from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError

Sound = npt.NDArray[np.float64]

RATES = (8000, 16000, 24000)


def silence(ms: int, rate: int) -> Sound:
    return np.zeros(rate * ms // 1000)


def syllable(ms: int, rate: int, dbfs: float = -18.0, pitch: float = 118.0) -> Sound:
    """A vowel: harmonics below two formants, swelling and fading."""
    t = np.arange(rate * ms // 1000) / rate
    glide = pitch * (1 + 0.08 * np.sin(2 * np.pi * 2.3 * t))
    phase = 2 * np.pi * np.cumsum(glide) / rate
    formants = ((500.0, 1.0), (1500.0, 0.5))
    wave = np.zeros(len(t))
    for harmonic in range(1, int(3400 / pitch)):
        hz = harmonic * pitch
        gain = sum(a / (1 + ((hz - f) / 150) ** 2) for f, a in formants) + 0.02
        wave += gain * np.sin(harmonic * phase)
    wave *= np.sin(np.pi * np.arange(len(t)) / max(1, len(t) - 1)) ** 0.5
    return np.asarray(wave / np.sqrt(np.mean(wave**2)) * 10 ** (dbfs / 20))


def words(count: int, rate: int, *, gap_ms: int = 120, dbfs: float = -18.0) -> Sound:
    """Words of two syllables."""
    parts: list[Sound] = []
    for number in range(count):
        parts += [syllable(140, rate, dbfs, 105 + 7 * (number % 4)), silence(20, rate)]
        parts += [syllable(160, rate, dbfs, 118 - 5 * (number % 3)), silence(gap_ms, rate)]
    return np.concatenate(parts)


def tone(hz: float, ms: int, rate: int, dbfs: float = -15.0) -> Sound:
    t = np.arange(rate * ms // 1000) / rate
    return np.asarray(np.sqrt(2) * 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * t))


def noisy(sound: Sound, dbfs: float, seed: int = 1) -> Sound:
    noise = np.random.default_rng(seed).standard_normal(len(sound)) * 10 ** (dbfs / 20)
    return np.asarray(sound + noise)


def judge(sound: Sound, rate: int, greeting: Greeting | None = None) -> tuple[Verdict | None, int]:
    """Return the verdict, and after how many ms it was there."""
    detector = Answering(rate, greeting)
    pcm = (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
    size = AudioFormat(rate).frame_bytes
    for number in range(len(pcm) // size):
        verdict = detector.feed(pcm[number * size : (number + 1) * size])
        if verdict is not None:
            assert detector.feed(bytes(size)) is verdict
            return verdict, (number + 1) * 20
    assert detector.verdict is None
    return None, 0


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("noise", [-90.0, -55.0, -40.0])
def test_a_short_hello_and_a_pause_is_a_human(rate: int, noise: float) -> None:
    hello = np.concatenate((silence(600, rate), words(1, rate), silence(2000, rate)))
    verdict, ms = judge(noisy(hello, noise), rate)
    assert verdict is Verdict.HUMAN
    assert 1600 <= ms <= 2000


def test_who_speaks_from_the_first_frame_on_is_a_human_too() -> None:
    hello = np.concatenate((words(2, 8000), silence(2000, 8000)))
    assert judge(noisy(hello, -50.0), 8000)[0] is Verdict.HUMAN


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("noise", [-90.0, -55.0, -40.0])
def test_who_talks_on_is_a_machine(rate: int, noise: float) -> None:
    greeting = np.concatenate((silence(400, rate), words(20, rate)))
    verdict, ms = judge(noisy(greeting, noise), rate)
    assert verdict is Verdict.MACHINE
    assert ms < 4000


def test_many_short_words_are_a_machine() -> None:
    parts = [part for _ in range(9) for part in (syllable(160, 8000), silence(300, 8000))]
    assert judge(noisy(np.concatenate(parts), -60.0), 8000)[0] is Verdict.MACHINE


def test_a_business_greeting_is_a_human() -> None:
    greeting = np.concatenate((silence(500, 8000), words(4, 8000, gap_ms=80), silence(1500, 8000)))
    assert judge(noisy(greeting, -55.0), 8000)[0] is Verdict.HUMAN


@pytest.mark.parametrize("noise", [-90.0, -50.0, -35.0])
def test_silence_is_neither(noise: float) -> None:
    verdict, ms = judge(noisy(silence(8000, 16000), noise), 16000)
    assert (verdict, ms) == (Verdict.UNSURE, 2500)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hz", [440.0, 1000.0, 1400.0])
def test_a_beep_is_a_machine_at_once(rate: int, hz: float) -> None:
    beep = np.concatenate((silence(1000, rate), tone(hz, 500, rate), silence(3000, rate)))
    verdict, ms = judge(noisy(beep, -60.0), rate)
    assert verdict is Verdict.MACHINE
    assert 1160 <= ms <= 1260


def test_a_beep_behind_a_word_is_a_machine() -> None:
    sound = np.concatenate((words(1, 8000), silence(400, 8000), tone(1000, 400, 8000)))
    assert judge(noisy(sound, -60.0), 8000)[0] is Verdict.MACHINE


def test_a_hum_and_clicks_are_no_words() -> None:
    click = [part for _ in range(12) for part in (tone(900, 40, 8000), silence(200, 8000))]
    assert judge(np.concatenate(click), 8000)[0] is Verdict.UNSURE


def test_a_quiet_voice_on_a_quiet_line_is_heard() -> None:
    hello = np.concatenate((silence(400, 8000), words(1, 8000, dbfs=-38.0), silence(1500, 8000)))
    assert judge(noisy(hello, -66.0), 8000)[0] is Verdict.HUMAN


def test_who_neither_waits_nor_talks_on_is_not_known() -> None:
    patient = Greeting(longest_greeting_ms=9000, most_words=99)
    assert judge(words(30, 8000), 8000, patient) == (Verdict.UNSURE, 6000)


@pytest.mark.parametrize("seed", range(20))
def test_the_noise_of_the_line_changes_no_verdict(seed: int) -> None:
    random = np.random.default_rng(seed)
    noise = float(random.uniform(-70, -42))
    lead = int(random.integers(100, 1800))
    hello = np.concatenate((silence(lead, 8000), words(1, 8000), silence(1500, 8000)))
    machine = np.concatenate((silence(lead, 8000), words(14, 8000)))
    assert judge(noisy(hello, noise, seed), 8000)[0] is Verdict.HUMAN
    assert judge(noisy(machine, noise, seed), 8000)[0] is Verdict.MACHINE


def test_a_frame_of_another_length_is_refused() -> None:
    with pytest.raises(BadArgumentError, match="320"):
        Answering(8000).feed(bytes(640))


def test_limits_that_mean_nothing_are_refused() -> None:
    with pytest.raises(BadArgumentError):
        Greeting(pause_ms=0)
    with pytest.raises(BadArgumentError):
        Loudness(quietest_dbfs=-10.0)
