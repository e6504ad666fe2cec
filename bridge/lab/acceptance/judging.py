"""Whether what was heard is what was to be heard: PCM of ``rate`` Hz. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from bridge.lab.acceptance.ears import RATE
from bridge.lab.acceptance.model import MUSIC, Hearing
from bridge.lab.hearing import FLOOR_DBFS, MIN_LEVEL_SECONDS, Pcm, ToneMeter, level_dbfs, levels
from bridge.lab.hearing.limits import ABSENT_BELOW_BESIDE_MUSIC_DB, ABSENT_BELOW_DB
from bridge.lab.hearing.other import other_sound
from bridge.lab.hearing.steady import steady_levels

_NEAR_DB: Final = 6.0
_FLASH_DB: Final = 20.0
_FLASH_SECONDS: Final = 0.06
_FLASH_HOPS: Final = 3
_FRAME_SECONDS: Final = 0.02
_LONG_SECONDS: Final = 0.2
_FULL_SCALE: Final = 32768.0
_FADED_DB: Final = 12.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What one listener heard in a window: dBFS of every voice, and of what is no voice."""

    listener: str
    voices: Mapping[str, float]
    music: float

    def shown(self) -> dict[str, float]:
        """Return all levels, rounded."""
        return {name: round(level, 1) for name, level in {**self.voices, MUSIC: self.music}.items()}


@dataclass(frozen=True, slots=True)
class Scale:
    """What counts as heard. tones: Hz of every voice of the run."""

    hearing: Hearing
    tones: Mapping[str, float]
    codec_db: float = ABSENT_BELOW_DB
    """How far below the level that is sent a voice is absent at the phone with the worst codec."""

    @property
    def absent_below_db(self) -> float:
        """How far below the level that is sent a voice is absent."""
        given = self.hearing.absent_below
        return self.codec_db if given is None else given

    def heard(self, listener: str, pcm: Pcm, rate: int = RATE) -> Heard:
        """Measure every voice in what a listener heard."""
        if len(pcm) < MIN_LEVEL_SECONDS * rate or not self.tones:
            return Heard(listener, dict.fromkeys(self.tones, FLOOR_DBFS), FLOOR_DBFS)
        rough = levels(pcm, rate, self.tones)
        near = self.hearing.level - _NEAR_DB
        present = [self.tones[name] for name, level in rough.items() if level > near]
        steady = steady_levels(pcm, rate, self.tones, present)
        return Heard(listener, steady, other_sound(pcm, rate, list(self.tones.values())))

    def wrong(self, heard: Heard, wanted: Collection[str]) -> list[str]:
        """Return what is otherwise than wanted, in words; [] when all is as it must be."""
        who, beside_music = heard.listener, MUSIC in wanted
        found = []
        for name, level in heard.voices.items():
            verb = self._verdict(level, wanted=name in wanted, beside_music=beside_music)
            if verb is not None:
                found.append(f"{who} {verb} {name} ({level:.1f} dBFS)")
        loud = heard.music > self.hearing.level - self.hearing.music_below
        if loud and not beside_music:
            found.append(f"{who} hears music or noise, unwanted ({heard.music:.1f} dBFS)")
        if beside_music and not loud:
            found.append(f"{who} hears no music ({heard.music:.1f} dBFS)")
        return found

    def flashed(self, pcm: Pcm, voice: str, rate: int = RATE) -> bool:
        """Tell whether a voice was heard for a moment, of 60 ms or more."""
        window = round(_FLASH_SECONDS * rate)
        meter = ToneMeter(rate, self.tones[voice], window)
        track = meter.track(pcm, round(_FRAME_SECONDS * rate))
        loud = [level > self.hearing.level - _FLASH_DB for level in track]
        return any(all(loud[at : at + _FLASH_HOPS]) for at in range(len(loud) - _FLASH_HOPS + 1))

    def flashes(self, pcm: Pcm, voices: Collection[str], rate: int = RATE) -> list[str]:
        """Return which of these voices were."""
        return [voice for voice in voices if self.flashed(pcm, voice, rate)]

    def first(self, pcm: Pcm, voice: str, rate: int = RATE) -> float | None:
        """Return when a voice was first there, in ms from the begin of what was heard."""
        window = round(_FRAME_SECONDS * rate)
        hop = window // 4
        track = ToneMeter(rate, self.tones[voice], window).track(pcm, hop)
        threshold = self.hearing.level - _FLASH_DB
        at = next((index for index, level in enumerate(track) if level >= threshold), None)
        return None if at is None else round(at * hop / rate * 1000, 1)

    def _verdict(self, level: float, *, wanted: bool, beside_music: bool) -> str | None:
        sent = self.hearing.level
        if wanted:
            if level < sent - _FADED_DB:
                return "does not hear"
            if abs(level - sent) > self.hearing.present_within:
                return "hears too loud" if level > sent else "hears too faint"
            return None
        below = ABSENT_BELOW_BESIDE_MUSIC_DB if beside_music else self.absent_below_db
        return None if level <= sent - below else "hears, unwanted,"


def peak_dbfs(pcm: Pcm) -> float:
    """Return the loudest sample."""
    peak = float(np.abs(pcm.astype(np.float64)).max()) if len(pcm) else 0.0
    return max(FLOOR_DBFS, 20 * np.log10(peak / _FULL_SCALE)) if peak else FLOOR_DBFS


def sounding_seconds(pcm: Pcm, above_dbfs: float, rate: int = RATE) -> float:
    """Return for how long frames of 20 ms are louder than that."""
    frame = round(_FRAME_SECONDS * rate)
    frames = pcm[: len(pcm) // frame * frame].reshape(-1, frame)
    return float(sum(peak_dbfs(one) > above_dbfs for one in frames)) * _FRAME_SECONDS


def tone_seconds(pcm: Pcm, hz: float, above_dbfs: float, rate: int = RATE) -> float:
    """Return for how long a tone is louder than that, at a stretch."""
    frame = round(_FRAME_SECONDS * rate)
    longest = lasting = 0
    for level in ToneMeter(rate, hz, frame).track(pcm, frame):
        lasting = lasting + 1 if level > above_dbfs else 0
        longest = max(longest, lasting)
    return longest * _FRAME_SECONDS


def loudest_tone(pcm: Pcm, hz: float, rate: int = RATE) -> float:
    """Return the level of a tone, in dBFS, in the 200 ms in which it is loudest."""
    window, hop = round(_LONG_SECONDS * rate), round(_LONG_SECONDS * rate / 2)
    starts = range(0, max(1, len(pcm) - window + 1), hop)
    parts = [pcm[at : at + window] for at in starts]
    heard = [level_dbfs(part, rate, hz) for part in parts if len(part) >= MIN_LEVEL_SECONDS * rate]
    return max(heard, default=FLOOR_DBFS)
