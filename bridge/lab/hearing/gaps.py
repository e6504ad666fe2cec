"""Frames of a tone that never reached the listener.

A tone that lasts is its own clock. Shifted to 0 Hz and low-pass filtered it is a constant complex
number as long as nothing is lost. A frame replaced by silence is a dip of that number's size; a
frame cut out is a step of its phase by 360 * hz * 0.02 degrees, which is visible because the tone
is no multiple of 50 Hz. Other voices, at least MIN_DISTANCE_HZ away, are outside the filter: when
they start, stop or are cut, they disturb the number for some milliseconds but shift nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from bridge.lab.hearing.tones import FULL_SCALE, Pcm
from bridge.model.errors import BadArgumentError

FRAME_SECONDS = 0.02
"""What Asterisk mixes, spies and sends at once."""

MIN_DISTANCE_HZ = 150.0
"""Other voices have to be this far from the tone (and not much louder than it)."""

MAX_SPLICE_FRAMES = 10
"""More frames than this cut out at one place cannot be told from fewer."""

# 58 dB of side lobes from MIN_DISTANCE_HZ on: sqrt(1 + (8/pi)^2) / 150 Hz = 18.2 ms.
_BETA = 8.0
_FILTER_SECONDS = float(np.sqrt(1 + (_BETA / np.pi) ** 2)) / MIN_DISTANCE_HZ
_STEPS_PER_SECOND = 1000
# Below this reference the tone is not there at all.
_PRESENT_DBFS = -60.0
_DIP = 0.5
_UNEVEN = 0.2
# An undisturbed tone stays within 1 degree behind G.711; the smallest step of TONES is 18.
_STEP_DEGREES = 6.0
# A disturbance and the quiet on either side that its phase is read from, in steps of 1 ms.
_REACH = 4
_REST = 8
_JOIN = 12


class GapKind(StrEnum):
    """How a frame went missing."""

    SILENCE = "silence"
    """Nothing, or something else, was heard instead."""
    SPLICE = "splice"
    """What came before and after was joined together."""


@dataclass(frozen=True, slots=True)
class LostFrame:
    """One frame of 20 ms that was not heard."""

    at_s: float
    """Where, in seconds of the audio; frames lost at one place by splicing share it."""
    kind: GapKind


def gaps(pcm: Pcm, rate: int, hz: float) -> list[LostFrame]:
    """Every 20 ms frame of the tone ``hz`` that is missing in ``pcm``; its length is their number.

    The tone has to last all through ``pcm``, at one level. Exact for up to MAX_SPLICE_FRAMES
    frames cut out, and for any number replaced by silence, at any offset, beside other tones of
    up to equal level that are MIN_DISTANCE_HZ or more away; places less than 50 ms apart
    are counted together and may then be counted too low. The first and the last 20 ms are not
    judged. A shorter hole counts as one frame. Raises BadArgumentError for audio below 60 ms and
    for a multiple of 50 Hz, whose phase does not show a lost frame.
    """
    if len(pcm) < 3 * FRAME_SECONDS * rate:
        raise BadArgumentError("give at least 60 ms of audio to look for lost frames")
    if round(hz * FRAME_SECONDS, 6) % 1 == 0:
        raise BadArgumentError(f"{hz} Hz is a multiple of 50 Hz: a lost frame would not show")
    baseband = _baseband(pcm, rate, hz)
    reference = float(np.percentile(np.abs(baseband), 90))
    if reference < FULL_SCALE * 10 ** (_PRESENT_DBFS / 20):
        frames = int(len(pcm) / rate / FRAME_SECONDS)
        return [LostFrame(n * FRAME_SECONDS, GapKind.SILENCE) for n in range(frames)]
    baseband /= reference
    disturbed = _disturbed(baseband)
    lost: list[LostFrame] = []
    for start, stop in _runs(disturbed):
        lost += _judge(baseband, disturbed, start, stop, hz)
    return lost


def _baseband(pcm: Pcm, rate: int, hz: float) -> npt.NDArray[np.complex128]:
    """The tone's complex amplitude every millisecond, starting at half a filter's length."""
    length = round(_FILTER_SECONDS * rate)
    window = np.kaiser(length, _BETA)
    mixed = pcm * np.exp(-2j * np.pi * hz / rate * np.arange(len(pcm)))
    hop = rate // _STEPS_PER_SECOND
    views = np.lib.stride_tricks.sliding_window_view(mixed, length)[::hop]
    result: npt.NDArray[np.complex128] = views @ (window * 2 / window.sum())
    return result


def _disturbed(baseband: npt.NDArray[np.complex128]) -> npt.NDArray[np.bool_]:
    """Per millisecond: whether size or phase of the tone is changing."""
    changing: npt.NDArray[np.bool_] = np.abs(np.abs(baseband) - 1) > _UNEVEN
    turn = np.angle(baseband[2 * _REACH :] * baseband[: -2 * _REACH].conj(), deg=True)
    changing[_REACH:-_REACH] |= np.abs(turn) > _STEP_DEGREES
    return changing


def _runs(disturbed: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open ranges of disturbed milliseconds; those nearly touching are one."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], disturbed, [False]))))
    runs: list[tuple[int, int]] = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] <= _JOIN:
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((start, stop))
    return runs


def _judge(
    baseband: npt.NDArray[np.complex128],
    disturbed: npt.NDArray[np.bool_],
    start: int,
    stop: int,
    hz: float,
) -> list[LostFrame]:
    """How many frames one disturbance has cost."""
    size = np.abs(baseband[start:stop])
    silent = int(np.count_nonzero(size < _DIP)) / _STEPS_PER_SECOND
    centre = (start + stop) / 2 / _STEPS_PER_SECOND + _FILTER_SECONDS / 2
    step = _phase_step(baseband, disturbed, start, stop)
    if silent < FRAME_SECONDS / 2 and abs(step) > _STEP_DEGREES:
        return [LostFrame(centre, GapKind.SPLICE)] * _spliced_frames(step, hz)
    if not silent:
        return []
    count = max(1, round(silent / FRAME_SECONDS))
    begin = centre - silent / 2
    return [LostFrame(begin + n * FRAME_SECONDS, GapKind.SILENCE) for n in range(count)]


def _phase_step(
    baseband: npt.NDArray[np.complex128],
    disturbed: npt.NDArray[np.bool_],
    start: int,
    stop: int,
) -> float:
    """Degrees between the quiet before and the quiet after; 0 at the ends of the audio."""
    before = slice(max(0, start - _REST), start)
    after = slice(stop, stop + _REST)
    quiet_before = baseband[before][~disturbed[before]]
    quiet_after = baseband[after][~disturbed[after]]
    if not len(quiet_before) or not len(quiet_after):
        return 0.0
    return float(np.angle(quiet_after.mean() * quiet_before.mean().conj(), deg=True))


def _spliced_frames(step: float, hz: float) -> int:
    """The number of frames whose absence turns the phase by ``step`` degrees."""
    turned = 360 * hz * FRAME_SECONDS * np.arange(1, MAX_SPLICE_FRAMES + 1)
    error = np.abs((turned - step + 180) % 360 - 180)
    return int(np.argmin(error)) + 1
