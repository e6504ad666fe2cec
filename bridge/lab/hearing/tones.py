"""Tones that can be told apart, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bridge.model.errors import BadArgumentError

Pcm: TypeAlias = npt.NDArray[np.int16]
"""16-bit signed mono samples."""

FULL_SCALE = 32768.0

TONES: Mapping[str, float] = MappingProxyType(
    {
        "caller": 559.0,
        "callee": 973.0,
        "agent": 1559.0,
        "supervisor": 2197.0,
        "observer": 1196.0,
        "consult": 1729.0,
        "other_caller": 796.0,
        "other_callee": 2604.0,
        "other_agent": 2873.0,
        "other_observer": 3082.0,
    }
)
"""A frequency in Hz for every role: one for each voice of two calls at once.

At least 170 Hz apart, inside 300 to 3400 Hz, and no product of distortion (2f, 3f, 5f, f1+f2,
f1-f2, 2f1+f2, 2f1-f2), nor its alias at 8 or 16 kHz, within 25 Hz of any of them: a codec's
distortion of one voice is not taken for another voice. None is a multiple of 50 Hz, and 1 to 10
lost frames of 20 ms shift the phase by amounts that differ by at least 18 degrees.
"""


def tone(hz: float, dbfs: float, seconds: float, rate: int, start_sample: int = 0) -> Pcm:
    """A sinusoid with peak amplitude ``dbfs`` relative to 32768, rounded to 16 bits.

    ``start_sample`` is where it starts on the tone's own sample clock: pieces made one after
    another with growing ``start_sample`` join without a step in phase. Raises BadArgumentError
    for a frequency that ``rate`` (Hz) cannot carry or a level above full scale.
    """
    if not 0 < hz < rate / 2:
        raise BadArgumentError(f"a tone of {hz} Hz cannot be carried at {rate} Hz")
    if dbfs > 0:
        raise BadArgumentError(f"{dbfs} dBFS is above full scale; give 0 or less")
    samples = np.arange(start_sample, start_sample + round(seconds * rate), dtype=np.float64)
    # The phase is reduced before the sine so that it stays exact after hours of samples.
    turns = (samples * hz / rate) % 1.0
    amplitude = FULL_SCALE * 10.0 ** (dbfs / 20.0)
    wave = np.rint(amplitude * np.sin(2.0 * np.pi * turns))
    samples_16: Pcm = np.clip(wave, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return samples_16


def pcm_from_bytes(frames: bytes) -> Pcm:
    """Little-endian 16-bit bytes, as they travel, to samples."""
    return np.frombuffer(frames, dtype="<i2").astype(np.int16)
