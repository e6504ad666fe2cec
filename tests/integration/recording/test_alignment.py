"""Both channels of a recording are on one clock, from its beginning to its end."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path

import numpy as np
import pytest

from bridge.lab.ears import DirectParty
from bridge.lab.hearing import TONES, GapKind, Pcm, first_heard, gaps
from tests.audio.machine import anew
from tests.integration.recording.tape import RATE, channels, recorded, talk
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]

LONG_S = 30.0
MOST_LOST = 8
"""Frames, of 1,500."""
BURSTS = 8
FRAMES = 40
"""In which a burst begins."""
SILENT_FRAMES = 55
ALIGNED_S = 0.020
"""Every channel of Asterisk has its own tick of 20 ms, at which it is heard."""
BRIDGE_S = 0.020
"""What one hears of the other comes with the next tick of their bridge."""
DRIFT_S = 0.010


def onset(pcm: Pcm, begin_s: float) -> float:
    """Return when sound begins, in seconds, behind a time."""
    loud = np.flatnonzero(np.abs(pcm[round(begin_s * RATE) :].astype(np.int32)) > 500)
    assert len(loud)
    return float(loud[0]) / RATE + begin_s


def heard_at(party: DirectParty, who: str) -> float:
    """Return when a party heard a voice first since he was cleared."""
    at = first_heard(list(party.frames), RATE, TONES[who], -35.0)
    assert at is not None
    return at


@anew
async def test_nothing_is_lost_or_put_in_for_half_a_minute(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    loop = asyncio.get_running_loop()
    began = loop.time()
    recording = await there.call.record(tmp_path)
    late = loop.time() - began
    await recorded(recording, LONG_S)
    await recording.stop()
    took = loop.time() - began
    left, right = channels(recording)
    # A tone is its own clock: had a frame been cut out, or put in, it would be joined together.
    # That one was not heard by the ears of Asterisk, on a machine that is busy, moves nothing.
    for channel, who in ((left, "caller"), (right, "callee")):
        lost = gaps(channel[1600:], RATE, TONES[who])
        assert {frame.kind for frame in lost} <= {GapKind.SILENCE}
        assert len(lost) <= MOST_LOST
    assert took - late - 0.3 <= len(left) / RATE <= took
    await there.call.disconnect()


@anew
async def test_both_channels_are_on_one_clock(pbx: Pbx, tmp_path: Path) -> None:
    there = await talk(pbx)
    there.caller.voice = there.callee.voice = None
    await there.caller.wait_seconds(0.8)
    recording = await there.call.record(tmp_path)
    parties = there.caller, there.callee
    apart: list[float] = []
    for _ in range(BURSTS):
        for party in parties:
            party.clear()
        there.caller.voice, there.callee.voice = CALLER_TONE, CALLEE_TONE
        await asyncio.gather(*(party.wait_frames(FRAMES) for party in parties))
        there.caller.voice = there.callee.voice = None
        # What they say is sent 0.4 s ahead.
        await asyncio.gather(*(party.wait_frames(FRAMES + SILENT_FRAMES) for party in parties))
        apart.append(heard_at(there.caller, "callee") - heard_at(there.callee, "caller"))
    await recording.stop()
    left, right = channels(recording)
    errors: list[float] = []
    at = 0.0
    for expected in apart:
        begin = onset(left, at), onset(right, at)
        errors.append(begin[1] - begin[0] - expected)
        quiet = max(begin) + 0.4
        while any(np.any(side[round(quiet * RATE) :][: RATE // 5]) for side in (left, right)):
            quiet += 0.05
        at = quiet
    early, late = statistics.median(errors[: BURSTS // 2]), statistics.median(errors[BURSTS // 2 :])
    assert abs(early) <= ALIGNED_S + BRIDGE_S, errors
    assert abs(late - early) <= DRIFT_S, errors
    await there.call.disconnect()
