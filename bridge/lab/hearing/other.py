"""Sound that is no known tone, such as music; and silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from bridge.lab.hearing.level import FLOOR_DBFS
from bridge.lab.hearing.tones import FULL_SCALE, Pcm

_PARTS: Final = 10


def other_sound(pcm: Pcm, rate: int, tones: Sequence[float]) -> float:
    """Return the level of what is left of ``pcm`` without ``tones`` (Hz); dBFS.

    Of its ten parts the one in the middle, each of which has to be long enough to tell tones apart:
    music lasts, a lost frame does not.
    """
    size = len(pcm) // _PARTS
    if not size:
        return FLOOR_DBFS
    # A column each: all have the same tones, which are solved for once.
    parts = pcm[: size * _PARTS].astype(np.float64).reshape(_PARTS, size).T
    at = np.arange(size) / rate
    waves = np.stack([f(2 * np.pi * hz * at) for hz in tones for f in (np.sin, np.cos)], axis=1)
    amplitudes, *_ = np.linalg.lstsq(waves, parts, rcond=None)
    power = np.mean((parts - waves @ amplitudes) ** 2, axis=0)
    dbfs = 10 * np.log10(np.maximum(2 * power, 1e-12) / FULL_SCALE**2)
    return max(FLOOR_DBFS, float(np.median(dbfs)))


def longest_silence_ms(pcm: Pcm, rate: int, quiet_dbfs: float = -60.0) -> float:
    """Return for how long at most no sample is louder than ``quiet_dbfs``; by frames of 20 ms."""
    frame = rate // 50
    peaks = np.abs(pcm[: len(pcm) // frame * frame].astype(np.float64)).reshape(-1, frame).max(1)
    longest = silent = 0
    for quiet in peaks < FULL_SCALE * 10 ** (quiet_dbfs / 20):
        silent = silent + 1 if quiet else 0
        longest = max(longest, silent)
    return longest * 20.0
