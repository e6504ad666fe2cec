"""Whether somebody speaks in a frame, by how loud it is above the noise of his line. Pure."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.model.errors import BadArgumentError

LEAST_DBFS: Final = -90.0
"""Nothing below is told apart."""

_NOISE_FRAMES: Final = 100
"""2 s: whoever talks draws breath within that."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """What is loud enough to be speech: levels are RMS in dBFS, full scale being 1."""

    quietest_dbfs: float = -48.0
    """No speech is quieter."""
    loudest_dbfs: float = -26.0
    """What is louder is speech on any line."""
    above_noise_db: float = 10.0
    """By so much speech is louder than the noise of the line."""

    def __post_init__(self) -> None:
        if self.quietest_dbfs > self.loudest_dbfs:
            raise BadArgumentError("quietest_dbfs has to be below loudest_dbfs")


class VoiceMeter:
    """Tells frames with speech from frames without; the noise is the quietest of the last 2 s."""

    def __init__(self, loudness: Loudness | None = None) -> None:
        self._loudness = loudness or Loudness()
        self._levels: deque[float] = deque(maxlen=_NOISE_FRAMES)

    def is_voiced(self, samples: npt.NDArray[np.float64]) -> bool:
        """Take the next 20 ms, full scale 1; tell whether somebody speaks."""
        power = float(np.mean(samples * samples))
        level = max(LEAST_DBFS, 10 * math.log10(power)) if power > 0 else LEAST_DBFS
        self._levels.append(level)
        above = min(self._levels) + self._loudness.above_noise_db
        least = max(above, self._loudness.quietest_dbfs)
        return level > min(least, self._loudness.loudest_dbfs)


def samples_of(frame: bytes) -> npt.NDArray[np.float64]:
    """Return s16le PCM as samples of full scale 1."""
    return np.frombuffer(frame, "<i2").astype(np.float64) / 32768
