"""What a listener heard, computed from PCM: tones, their levels, lost frames, first arrival.

Pure functions of samples; no IO. PCM is 16-bit signed, mono, as a numpy array of int16 or, where a
frame is a frame of a wire, as little-endian bytes. Levels are dBFS of a sinusoid's peak amplitude
relative to 32768.
"""

from bridge.lab.hearing.gaps import MAX_SPLICE_FRAMES, GapKind, LostFrame, gaps
from bridge.lab.hearing.level import (
    FLOOR_DBFS,
    MIN_LEVEL_SECONDS,
    ToneMeter,
    first_heard,
    level_dbfs,
    levels,
)
from bridge.lab.hearing.tones import TONES, Pcm, pcm_from_bytes, tone

__all__ = [
    "FLOOR_DBFS",
    "MAX_SPLICE_FRAMES",
    "MIN_LEVEL_SECONDS",
    "TONES",
    "GapKind",
    "LostFrame",
    "Pcm",
    "ToneMeter",
    "first_heard",
    "gaps",
    "level_dbfs",
    "levels",
    "pcm_from_bytes",
    "tone",
]
