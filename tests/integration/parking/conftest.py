"""What somebody who is parked hears: voices, or music, which is no voice."""

from __future__ import annotations

import numpy as np

from bridge.lab.ears import DirectParty
from bridge.lab.hearing import levels, tone
from bridge.sdk import ActiveCall
from tests.support.conference import HZ, RATE
from tests.support.hearing import clearly, settles
from tests.support.pbx import SENT_DBFS

MUSIC = "music"
_PRESENT_DBFS = SENT_DBFS - 3
_FAINT_DBFS = SENT_DBFS - 20
"""Music may hold as much of a voice's tone."""
_MUSIC_DBFS = -60.0
_SETTLED_FRAMES = 15
_LOOK_FRAMES = 50


async def speaks(call: ActiveCall) -> None:
    """Let the agent say his tone for a minute."""
    call.clear_send_audio_buffer()
    await call.send_audio(tone(HZ["ai"], SENT_DBFS, 60.0, RATE).astype("<i2").tobytes())


async def hears(party: DirectParty, expected: set[str]) -> None:
    """Fail unless a party hears exactly these voices, and ``music`` or not."""
    await settles(lambda: _heard(party), expected, may_last={MUSIC})


async def _heard(party: DirectParty) -> set[str]:
    begin = len(party.frames) + _SETTLED_FRAMES
    await party.wait_frames(begin + _LOOK_FRAMES)
    pcm = np.frombuffer(b"".join(f for _, f in list(party.frames)[begin:]), "<i2")
    found = levels(pcm, RATE, HZ)
    at = np.arange(len(pcm)) / RATE
    basis = [f(2 * np.pi * hz * at) for hz in HZ.values() for f in (np.sin, np.cos)]
    matrix = np.stack(basis, axis=1)
    rest = pcm - matrix @ np.linalg.lstsq(matrix, pcm.astype(np.float64), rcond=None)[0]
    middle = float(np.median([np.sqrt(2 * np.mean(part**2)) for part in np.array_split(rest, 10)]))
    is_music = 20 * np.log10(max(middle, 1.0) / 32768) > _MUSIC_DBFS
    found[MUSIC] = 0.0 if is_music else -np.inf
    return clearly(found, absent_dbfs=_FAINT_DBFS, present_dbfs=_PRESENT_DBFS)
