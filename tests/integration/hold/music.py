"""Music that is a tone, one for each class, and what of it is heard, and when."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from bridge.lab.ears import DirectParty
from bridge.lab.hearing import Pcm, levels, pcm_from_bytes, tone
from tests.support.conference import HZ, RATE
from tests.support.hearing import UnclearError, clearly, settles

MUSIC: Final = {"default": 383.0, "jazz": 1373.0, "blues": 1961.0}
"""Hz of each class: 150 Hz and more from every voice, and from each other."""
MUSIC_DBFS: Final = -12.0
MUSIC_SECONDS: Final = 20.0

PRESENT_DBFS: Final = -20.0
ABSENT_DBFS: Final = -75.0
LOUD_DBFS: Final = -40.0
GAP_MS: Final = 60.0

_SETTLED_FRAMES: Final = 15
_LOOK_FRAMES: Final = 25
_FRAME_S: Final = 0.02


def write_music(folder: Path) -> Path:
    """Write a folder of music; the class ``default`` is the folder itself."""
    for name, hz in MUSIC.items():
        place = folder if name == "default" else folder / name
        place.mkdir(exist_ok=True)
        soundfile.write(place / "tune.flac", tone(hz, MUSIC_DBFS, MUSIC_SECONDS, 48000), 48000)
    return folder


async def hears(party: DirectParty, expected: set[str]) -> None:
    """Fail unless a party hears exactly these classes of music and voices."""
    await settles(lambda: _heard(party), expected, may_last=MUSIC)


async def hears_speech(party: DirectParty, expected: set[str]) -> None:
    """As ``hears``, for somebody who hears speech, too: it hides what is faint."""
    await settles(lambda: _heard_speech(party), expected, may_last=MUSIC)


async def _heard(party: DirectParty) -> set[str]:
    found = levels(await _next(party), RATE, {**MUSIC, **HZ})
    return clearly(found, absent_dbfs=ABSENT_DBFS, present_dbfs=PRESENT_DBFS)


async def _heard_speech(party: DirectParty) -> set[str]:
    pcm = await _next(party)
    found = levels(pcm, RATE, {**MUSIC, **HZ})
    there = {name for name, dbfs in found.items() if dbfs > PRESENT_DBFS}
    at = np.arange(len(pcm)) / RATE
    waves = [np.exp(2j * np.pi * {**MUSIC, **HZ}[name] * at) for name in there]
    basis = [part for wave in waves for part in (wave.real, wave.imag)] or [np.zeros(len(pcm))]
    matrix = np.stack(basis, axis=1)
    rest = pcm - matrix @ np.linalg.lstsq(matrix, pcm.astype(np.float64), rcond=None)[0]
    if _dbfs(rest) <= LOUD_DBFS:
        raise UnclearError("no speech", there=there)
    return there


async def both(one: Coroutine[None, None, None], other: Coroutine[None, None, None]) -> None:
    """Measure two at the same time."""
    await asyncio.gather(one, other)


async def _next(party: DirectParty) -> Pcm:
    begin = len(party.frames) + _SETTLED_FRAMES
    await party.wait_frames(begin + _LOOK_FRAMES)
    return pcm_from_bytes(b"".join(payload for _, payload in list(party.frames)[begin:]))


async def frames(party: DirectParty, seconds: float) -> None:
    """Wait until a party has heard so much more."""
    await party.wait_frames(len(party.frames) + round(seconds / _FRAME_S), within_s=seconds + 5)


def longest_gap_ms(party: DirectParty, since: float, until: float) -> float:
    """Return for how long a party heard nothing at a time, at most.

    since, until: by ``time.monotonic()``. Two loud frames 20 ms apart are no gap.
    """
    loud = [
        at
        for at, payload in party.frames
        if since <= at <= until and _dbfs(pcm_from_bytes(payload)) > LOUD_DBFS
    ]
    ends = [since, *loud, until]
    return max(b - a for a, b in itertools.pairwise(ends)) * 1000 - _FRAME_S * 1000


async def gap_of(party: DirectParty, change: asyncio.Future[None] | None = None) -> float:
    """Await a change; return the longest gap, in ms, that a party heard around it."""
    await frames(party, 0.3)
    begin = time.monotonic()
    if change is not None:
        await change
    await frames(party, 0.5)
    return longest_gap_ms(party, begin - 0.2, time.monotonic())


def _dbfs(pcm: npt.NDArray[np.number]) -> float:
    power = np.mean(np.square(pcm.astype(np.float64)))
    return float(20 * np.log10(max(1.0, np.sqrt(2 * power)) / 32768))
