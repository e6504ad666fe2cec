"""Sounds that are said as a whole: a WAV file, or PCM, brought to the rate of a line."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError

MOST_SECONDS: Final = 300.0
"""Longer than that nobody listens to; and it is held in memory."""

_SAMPLES: Final = {1: "u1", 2: "<i2", 4: "<i4"}
_MIDDLE: Final = 128


def load_wav(path: Path, audio_format: AudioFormat) -> bytes:
    """Return a WAV file as PCM of ``audio_format``: s16le, mono, channels mixed.

    The file: PCM of 8, 16 or 32 bit, any rate, at most 300 s. Blocks while it reads. Raises
    BadArgumentError for a file that cannot be read, or is none.
    """
    try:
        with wave.open(str(path), "rb") as file:
            rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            if file.getnframes() > MOST_SECONDS * rate:
                raise BadArgumentError(f"{path} is longer than {MOST_SECONDS:g} s: cut it")
            data = file.readframes(file.getnframes())
    except (OSError, wave.Error, EOFError) as error:
        message = f"{path} is no WAV file that can be played: {error}; save it as 16-bit PCM"
        raise BadArgumentError(message) from error
    if width not in _SAMPLES:
        raise BadArgumentError(f"{path} has {8 * width} bit a sample: save it as 16-bit PCM")
    samples = np.frombuffer(data, _SAMPLES[width]).astype(np.float64)
    if width == 1:
        samples -= _MIDDLE
    samples /= float(1 << (8 * width - 1))
    mono = samples.reshape(-1, channels).mean(axis=1)
    return _pcm(resampled(mono, rate, audio_format.rate))


def resampled(samples: npt.NDArray[np.float64], rate: int, wanted: int) -> npt.NDArray[np.float64]:
    """Return mono samples at another rate (Hz), band-limited: the spectrum is cut or padded."""
    if rate == wanted or not len(samples):
        return samples
    length = max(1, round(len(samples) * wanted / rate))
    result: npt.NDArray[np.float64] = np.fft.irfft(np.fft.rfft(samples), length)
    return result * (length / len(samples))


def _pcm(samples: npt.NDArray[np.float64]) -> bytes:
    scaled = np.clip(np.rint(samples * 32768), -32768, 32767)
    return scaled.astype("<i2").tobytes()
