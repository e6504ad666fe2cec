"""Levels of tones apart from a lost frame, which is counted elsewhere.

A frame that is missing is a step in every tone that is present, and a step is heard at all
frequencies: over a second of audio it looks like a faint voice of somebody who was silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.lab.hearing.gaps import gaps
from bridge.lab.hearing.level import levels
from bridge.lab.hearing.tones import Pcm

FORGIVEN_FRAMES = 3
"""With more than these lost, all of the audio is measured as it is."""

_AROUND_SECONDS = 0.06
_SHORTEST_SECONDS = 0.2


def steady_levels(
    pcm: Pcm, rate: int, tones: Mapping[str, float], present: Sequence[float]
) -> dict[str, float]:
    """Return for every tone its highest level, in dBFS, in any undisturbed piece of ``pcm``.

    tones: Hz, by name; present: Hz of those that are meant to be heard all through.
    """
    lost = sorted(gap.at_s for hz in present for gap in gaps(pcm, rate, hz))
    pieces = [pcm]
    if 0 < len(lost) <= FORGIVEN_FRAMES * len(present):
        pieces = _between(pcm, rate, lost) or [pcm]
    measured = [levels(piece, rate, tones) for piece in pieces]
    return {name: max(piece[name] for piece in measured) for name in tones}


def _between(pcm: Pcm, rate: int, lost: list[float]) -> list[Pcm]:
    """Return the pieces between disturbed places that are long enough to tell tones apart."""
    pieces, start = [], 0.0
    for at in [*lost, len(pcm) / rate + _AROUND_SECONDS]:
        end = at - _AROUND_SECONDS
        if end - start >= _SHORTEST_SECONDS:
            pieces.append(pcm[round(start * rate) : round(end * rate)])
        start = max(start, at + _AROUND_SECONDS)
    return pieces
