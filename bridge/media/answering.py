"""Who answers: a human, or an answering machine. Pure: time is the number of frames.

The idea is that of Asterisk's AMD (apps/app_amd.c): a human says a word or two and waits, a machine
talks on. What differs: what counts as speech follows the noise of the line; a beep is a machine's;
and somebody who says nothing is not taken for one, since a human who listens to a brief is silent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from bridge.media.loudness import Loudness, VoiceMeter, samples_of
from bridge.media.pcm import FRAME_MS, AudioFormat
from bridge.model.errors import BadArgumentError


class Verdict(StrEnum):
    """Who has answered."""

    HUMAN = "human"
    MACHINE = "machine"
    UNSURE = "unsure"
    """It cannot be told: he is silent, or neither waits nor talks on."""


class MachineDetector(Protocol):
    """What tells an answering machine from a human."""

    def feed(self, frame: bytes) -> Verdict | None:
        """Take the next 20 ms, s16le mono; return the verdict as soon as there is one."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """By what a human's greeting is told from a machine's."""

    initial_silence_ms: int = 2500
    """Who has said nothing for so long: UNSURE."""
    longest_greeting_ms: int = 1800
    """Who speaks for longer in all: MACHINE. ``Hello, this is Ann from accounting`` takes 1,500."""
    most_words: int = 6
    """Who says more of them: MACHINE."""
    pause_ms: int = 800
    """Who is silent for so long after he spoke: HUMAN."""
    shortest_word_ms: int = 100
    """Shorter sounds are clicks."""
    between_words_ms: int = 60
    """Shorter gaps belong to the word."""
    beep_ms: int = 160
    """A steady tone as long as this: MACHINE."""
    most_ms: int = 6000
    """After so long: UNSURE."""
    loudness: Loudness = field(default_factory=Loudness)
    """What is speech."""

    def __post_init__(self) -> None:
        for name in ("initial_silence_ms", "longest_greeting_ms", "pause_ms", "most_ms"):
            if getattr(self, name) < FRAME_MS:
                raise BadArgumentError(f"{name}={getattr(self, name)}: at least {FRAME_MS}")


_Samples = npt.NDArray[np.float64]
"""Of one frame, full scale 1."""

_BEEP_HZ: Final = (350.0, 2800.0)
"""Below it are the hums of voices."""
_BEEP_SHARE: Final = 0.9
"""Of the energy of a frame, in the tone alone."""
_BEEP_STEADY_HZ: Final = 30.0


class Answering:
    """Listens to somebody who has just answered. Made for one call; see ``MachineDetector``.

    rate: 8000, 16000 or 24000 Hz.
    """

    def __init__(self, rate: int, greeting: Greeting | None = None) -> None:
        self._format = AudioFormat(rate)
        self._greeting = greeting or Greeting()
        self._verdict: Verdict | None = None
        self._meter = VoiceMeter(self._greeting.loudness)
        self._ms = 0
        self._sound_ms = 0
        """Of the sound that lasts, its short gaps included."""
        self._spoken_ms = 0
        """Of all words."""
        self._silent_ms = 0
        self._words = 0
        self._in_word = False
        self._beep_hz = 0.0
        self._beep_ms = 0
        self._window = np.hanning(self._format.frame_samples)

    @property
    def verdict(self) -> Verdict | None:
        """What it is; None as long as it is not known."""
        return self._verdict

    def feed(self, frame: bytes) -> Verdict | None:
        """Take the next 20 ms; return the verdict as soon as there is one, and from then on.

        Raises BadArgumentError for a frame of another length.
        """
        if len(frame) != self._format.frame_bytes:
            raise BadArgumentError(
                f"{len(frame)} bytes: a frame has {self._format.frame_bytes} at this rate"
            )
        if self._verdict is None:
            self._ms += FRAME_MS
            samples = samples_of(frame)
            if self._meter.is_voiced(samples):
                self._hear_sound(samples)
            else:
                self._hear_silence()
            self._verdict = self._judged()
        return self._verdict

    def _hear_sound(self, samples: _Samples) -> None:
        self._sound_ms += FRAME_MS + self._gap_ms()
        self._silent_ms = 0
        if self._in_word:
            self._spoken_ms += FRAME_MS
        elif self._sound_ms >= self._greeting.shortest_word_ms:
            self._in_word = True
            self._words += 1
            self._spoken_ms += self._sound_ms
        self._listen_for_beep(samples)

    def _hear_silence(self) -> None:
        self._silent_ms += FRAME_MS
        self._beep_ms = 0
        if self._silent_ms >= self._greeting.between_words_ms:
            self._in_word = False
            self._sound_ms = 0

    def _gap_ms(self) -> int:
        """Return how long the gap is that has just ended, if it belongs to a word."""
        return self._silent_ms if self._sound_ms else 0

    def _listen_for_beep(self, samples: _Samples) -> None:
        spectrum = np.abs(np.fft.rfft(samples * self._window)) ** 2
        peak = int(np.argmax(spectrum))
        # Hann's main lobe is four bins wide.
        share = spectrum[max(0, peak - 2) : peak + 3].sum() / max(spectrum.sum(), 1e-12)
        hz = peak * self._format.rate / len(samples)
        lowest, highest = _BEEP_HZ
        is_tone = lowest <= hz <= highest and share >= _BEEP_SHARE
        is_steady = abs(hz - self._beep_hz) <= _BEEP_STEADY_HZ
        self._beep_ms = FRAME_MS + (self._beep_ms if is_steady else 0) if is_tone else 0
        self._beep_hz = hz

    def _judged(self) -> Verdict | None:
        greeting = self._greeting
        talks_on = self._spoken_ms > greeting.longest_greeting_ms
        if talks_on or self._words > greeting.most_words or self._beep_ms >= greeting.beep_ms:
            return Verdict.MACHINE
        if self._words and self._silent_ms >= greeting.pause_ms:
            return Verdict.HUMAN
        is_silent = not self._words and self._ms >= greeting.initial_silence_ms
        if is_silent or self._ms >= greeting.most_ms:
            return Verdict.UNSURE
        return None
