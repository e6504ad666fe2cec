"""Sounds that are said as a whole: a WAV file, or PCM, brought to the rate of a line."""

from __future__ import annotations

import struct
import wave
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError

MOST_SECONDS: Final = 300.0
"""Longer than that nobody listens to; and it is held in memory."""

_SAMPLES: Final = {1: "u1", 2: "<i2", 4: "<i4"}
_MIDDLE: Final = 128
_RIFF_BYTES: Final = 12
_CHUNK_BYTES: Final = 8
"""Of a chunk's head: its name and its size."""


def load_wav(path: Path, audio_format: AudioFormat) -> bytes:
    """Return a WAV file as PCM of ``audio_format``: s16le, mono, channels mixed.

    The file: PCM of 8, 16 or 32 bit, any rate, at most 300 s. Blocks while it reads. Raises
    BadArgumentError for a file that cannot be read, or is none.
    """
    return _loaded(str(path), str(path), audio_format)


def pcm_of_wav(wav: bytes, audio_format: AudioFormat) -> bytes:
    """Return what ``load_wav`` does, of a WAV file in memory, or one as a pipe brought it.

    Who writes to a pipe cannot go back and write how long it became: then all that came counts.
    """
    return _loaded(BytesIO(_sized(wav)), "what was written", audio_format)


def _sized(wav: bytes) -> bytes:
    """Return a WAV file whose sizes are no larger than what there is."""
    begin = _RIFF_BYTES
    while wav.startswith(b"RIFF") and len(wav) >= begin + _CHUNK_BYTES:
        name, said = struct.unpack_from("<4sI", wav, begin)
        there = len(wav) - begin - _CHUNK_BYTES
        if name == b"data" and said > there:
            sized = bytearray(wav)
            struct.pack_into("<I", sized, 4, len(wav) - _CHUNK_BYTES)
            struct.pack_into("<I", sized, begin + 4, there)
            return bytes(sized)
        # Chunks begin at even places.
        begin += _CHUNK_BYTES + said + said % 2
    return wav


def _loaded(file: str | BinaryIO, name: str, audio_format: AudioFormat) -> bytes:
    try:
        with wave.open(file, "rb") as found:
            rate, width, channels = found.getframerate(), found.getsampwidth(), found.getnchannels()
            if found.getnframes() > MOST_SECONDS * rate:
                raise BadArgumentError(f"{name} is longer than {MOST_SECONDS:g} s: cut it")
            data = found.readframes(found.getnframes())
    except OSError as error:
        raise BadArgumentError(f"{name} cannot be read: {error.strerror or error}") from error
    except (wave.Error, EOFError) as error:
        message = f"{name} is no WAV file that can be played: {error}; save it as 16-bit PCM"
        raise BadArgumentError(message) from error
    if width not in _SAMPLES:
        raise BadArgumentError(f"{name} has {8 * width} bit a sample: save it as 16-bit PCM")
    data = data[: len(data) - len(data) % (width * channels)]
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
