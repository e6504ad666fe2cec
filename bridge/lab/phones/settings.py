"""What a phone is: its account, its codec, how it answers, what it says."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import msgspec

from bridge.model.errors import BadArgumentError


class Codec(StrEnum):
    """The one codec that a phone offers and accepts."""

    L16_16000 = "L16/16000"
    L16_8000 = "L16/8000"
    G722 = "G722"
    PCMU = "PCMU"
    PCMA = "PCMA"

    @property
    def absent_below_db(self) -> float:
        """How far, dB, below the voices that are sent another one counts as absent.

        What a codec makes of several tones is spread over all frequencies: G.711 up to 38 dB below
        one of them; G.722, measured, 61 to 64 dB below two, and more of more.
        """
        return {Codec.PCMU: 40.0, Codec.PCMA: 40.0, Codec.G722: 45.0}.get(self, 60.0)


class Behaviour(StrEnum):
    """What a phone does with an incoming call."""

    ANSWER = "answer"
    """Rings (180) and answers (200) after ``answer_after_ms``."""
    RING = "ring"
    """Rings until ``answer()`` or ``hangup()`` is called."""
    BUSY = "busy"
    """486 Busy Here."""
    DECLINE = "decline"
    """603 Decline."""
    UNAVAILABLE = "unavailable"
    """480 Temporarily Unavailable."""
    NO_ANSWER = "no_answer"
    """Rings for ever; ``answer()`` is refused."""


class Tone(msgspec.Struct, frozen=True, tag="tone"):
    """A sinusoid, continuous in phase as long as it is played; ``dbfs`` is that of its peak.

    Raises BadArgumentError above full scale, 0 dBFS.
    """

    hz: float
    dbfs: float = -15.0

    def __post_init__(self) -> None:
        if self.dbfs > 0:
            raise BadArgumentError(f"{self.dbfs} dBFS is above full scale; give 0 or less")


class WavFile(msgspec.Struct, frozen=True, tag="wav"):
    """A sound file (anything libsndfile reads; mixed to mono), over and over if ``loop``."""

    path: Path
    loop: bool = True


class Silence(msgspec.Struct, frozen=True, tag="silence"):
    """Digital silence: sent as such or, with silence suppression, not sent at all."""


Source: TypeAlias = Tone | WavFile | Silence


class PhoneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a phone is started with. Raises BadArgumentError for what cannot be."""

    number: str
    """The account's number and username."""
    password: str
    host: str = "127.0.0.1"
    port: int = 5060
    codec: Codec = Codec.G722
    answer: Behaviour = Behaviour.ANSWER
    answer_after_ms: int = 0
    source: Source = Silence()
    silence_suppression: bool = False
    """No RTP at all while the source is digitally silent or the phone is muted."""
    record: Path | None = None
    """16-bit mono WAV of what the phone hears, from its start to its end, calls or not."""
    register: bool = True
    sample_rate_hz: int = 16000
    """Of the source and of the recording; a codec of another rate is resampled."""

    def __post_init__(self) -> None:
        if self.sample_rate_hz not in {8000, 16000, 48000}:
            raise BadArgumentError("sample_rate_hz has to be 8000, 16000 or 48000")
        if self.answer_after_ms < 0:
            raise BadArgumentError("answer_after_ms cannot be negative")
        self.check_source(self.source)

    def check_source(self, source: Source) -> None:
        """Raise BadArgumentError for a tone that the phone's sample rate cannot carry."""
        if isinstance(source, Tone) and not 0 < source.hz < self.sample_rate_hz / 2:
            raise BadArgumentError(
                f"a tone of {source.hz} Hz cannot be carried at {self.sample_rate_hz} Hz"
            )

    def __repr__(self) -> str:
        """Without the password."""
        return f"PhoneSettings(number={self.number!r}, codec={self.codec.value!r})"
