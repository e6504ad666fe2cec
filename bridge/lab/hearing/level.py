"""How loud a tone is in what was heard, and when it was first there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bridge.lab.hearing.tones import FULL_SCALE, Pcm, pcm_from_bytes
from bridge.model.errors import BadArgumentError

FLOOR_DBFS = -120.0
"""What silence measures; nothing below is told apart."""

MIN_LEVEL_SECONDS = 0.08
"""The shortest audio in which tones 150 Hz apart can be separated to the floor."""

# Side lobes 120 dB down; the main lobe reaches sqrt(1 + (16/pi)^2) = 5.2 bins to either side.
_LEVEL_BETA = 16.0


def level_dbfs(pcm: Pcm, rate: int, hz: float) -> float:
    """Level of the sinusoid ``hz`` in ``pcm``: dBFS of its peak amplitude, at least FLOOR_DBFS.

    The tone is taken as present all through; one that fills half of the audio measures lower.
    Tones at a distance of 6 / duration or more (15 Hz for 0.4 s) do not disturb it. Raises
    BadArgumentError for audio shorter than MIN_LEVEL_SECONDS.
    """
    return levels(pcm, rate, {"it": hz})["it"]


def levels(pcm: Pcm, rate: int, speakers: Mapping[str, float]) -> dict[str, float]:
    """Level of every speaker's tone: ``{speaker: Hz}`` to ``{speaker: dBFS}``; see level_dbfs."""
    if len(pcm) < MIN_LEVEL_SECONDS * rate:
        raise BadArgumentError(
            f"{len(pcm) / rate:.3f} s of audio is too short to tell tones apart; "
            f"give at least {MIN_LEVEL_SECONDS} s"
        )
    window = np.kaiser(len(pcm), _LEVEL_BETA)
    windowed = pcm * window
    return {
        name: _dbfs(abs(np.vdot(_carrier(len(pcm), rate, hz), windowed)) * 2 / window.sum())
        for name, hz in speakers.items()
    }


class ToneMeter:
    """Level of one tone in many short windows of equal length, such as frames of 20 ms.

    Made with the sample rate (Hz), the tone (Hz) and the window (samples). The window is
    Blackman's: with 20 ms, tones 150 Hz away and steady leak less than -55 dB; a tone that
    starts or stops within the window leaks about -30 dB into others for that window.
    """

    def __init__(self, rate: int, hz: float, window: int) -> None:
        shape = np.blackman(window)
        self._kernel = shape * _carrier(window, rate, hz).conj() * 2 / shape.sum()
        self.window = window

    def dbfs(self, pcm: Pcm) -> float:
        """Level in one window; audio of another length raises BadArgumentError."""
        if len(pcm) != self.window:
            raise BadArgumentError(f"this meter takes {self.window} samples, not {len(pcm)}")
        return _dbfs(abs(np.dot(self._kernel, pcm)))

    def track(self, pcm: Pcm, hop: int) -> list[float]:
        """Levels of the windows that start every ``hop`` samples."""
        if len(pcm) < self.window:
            return []
        windows = np.lib.stride_tricks.sliding_window_view(pcm, self.window)[::hop]
        return [_dbfs(value) for value in np.abs(windows @ self._kernel)]


def first_heard(
    frames: Sequence[tuple[float, bytes]], rate: int, hz: float, threshold_dbfs: float
) -> float | None:
    """Arrival time of the first frame that carries the tone at ``threshold_dbfs`` or louder.

    ``frames`` are ``(arrival in s of any clock, little-endian PCM)``, 20 ms each at ``rate``.
    None when no frame does. A tone that begins late within a frame counts for that frame once it
    fills about a third of it. Choose a threshold at least 20 dB below the tone's level, and no
    lower than 30 dB below the loudest other voice (see ToneMeter).
    """
    meters: dict[int, ToneMeter] = {}
    for arrival, payload in frames:
        pcm = pcm_from_bytes(payload)
        if not len(pcm):
            continue
        meter = meters.get(len(pcm)) or meters.setdefault(len(pcm), ToneMeter(rate, hz, len(pcm)))
        if meter.dbfs(pcm) >= threshold_dbfs:
            return arrival
    return None


def _carrier(samples: int, rate: int, hz: float) -> npt.NDArray[np.complex128]:
    carrier: npt.NDArray[np.complex128] = np.exp(2j * np.pi * hz / rate * np.arange(samples))
    return carrier


def _dbfs(amplitude: float) -> float:
    if amplitude <= 0:
        return FLOOR_DBFS
    return max(FLOOR_DBFS, 20 * math.log10(amplitude / FULL_SCALE))
