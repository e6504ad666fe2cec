"""Frames that were lost, and frames that only came late.

A snoop of Asterisk has no cushion: when it ticks just before the frame of its target comes instead
of just after it, it says 20 ms of silence, and says that frame, and all that follow, one tick later
(res_stasis_snoop.c, snoop_read). From then on it has a cushion of 20 ms, so this happens once to a
line, if at all. Nothing is lost by it, and a tone tells: it goes on where it was broken off, while
after a frame that was lost it is where it would have been without the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from bridge.lab.hearing.gaps import FRAME_SECONDS, GapKind, LostFrame, gaps
from bridge.lab.hearing.tones import Pcm

_MARGIN_S = 0.010
_WINDOW_S = 0.060
_TOLERANCE_DEGREES = 8.0
"""The tones are chosen such that any number of lost frames turns the phase by 18 or more."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What a listener missed of one voice, in frames of 20 ms."""

    lost: int
    held_up: int
    """Silence that was put in; all that was said was heard."""


def missing(pcm: Pcm, rate: int, hz: float) -> Missing:
    """Look for frames of the tone ``hz`` that are missing; see ``hearing.gaps``."""
    lost = held_up = 0
    for _, hole in groupby(_numbered(gaps(pcm, rate, hz)), key=lambda entry: entry[0]):
        frames = [frame for _, frame in hole]
        silent = frames[0].kind is GapKind.SILENCE
        if silent and _goes_on(pcm, rate, hz, frames[0].at_s, len(frames)):
            held_up += len(frames)
        else:
            lost += len(frames)
    return Missing(lost, held_up)


def _numbered(frames: list[LostFrame]) -> list[tuple[int, LostFrame]]:
    """Give frames that are missing one after another the number of their hole."""
    numbered: list[tuple[int, LostFrame]] = []
    hole = 0
    for index, frame in enumerate(frames):
        if index and frame.at_s - frames[index - 1].at_s > 1.5 * FRAME_SECONDS:
            hole += 1
        numbered.append((hole, frame))
    return numbered


def _goes_on(pcm: Pcm, rate: int, hz: float, at_s: float, count: int) -> bool:
    """Tell whether the tone goes on after ``count`` silent frames where it was before them."""
    before = _phase(pcm, rate, hz, at_s - _MARGIN_S - _WINDOW_S)
    after = _phase(pcm, rate, hz, at_s + count * FRAME_SECONDS + _MARGIN_S)
    if before is None or after is None:
        return False
    delayed = -360 * hz * FRAME_SECONDS * count
    error = (after - before - delayed + 180) % 360 - 180
    return bool(abs(error) <= _TOLERANCE_DEGREES)


def _phase(pcm: Pcm, rate: int, hz: float, start_s: float) -> float | None:
    """Phase of the tone against a clock of ``hz``, in degrees; None at the ends of the audio."""
    start, size = round(start_s * rate), round(_WINDOW_S * rate)
    part = pcm[max(0, start) : start + size]
    if start < 0 or len(part) < size:
        return None
    carrier = np.exp(-2j * np.pi * hz / rate * (np.arange(size) + start))
    return float(np.angle(np.dot(part * np.blackman(size), carrier), deg=True))
