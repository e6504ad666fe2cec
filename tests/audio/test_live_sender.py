"""Programs that send a frame every 20 ms, as well as they can: few interruptions, no lost sound."""

from __future__ import annotations

import asyncio
import random
import time

import numpy as np
import pytest

from bridge.lab.hearing import TONES, Pcm, first_heard
from bridge.media.pacing import MOST_REFILL
from bridge.sdk import ActiveCall
from tests.audio.listening import FRAME, RATE, all_heard, quiet_call, sounding, without_silence
from tests.audio.listening import words as make_words
from tests.audio.machine import measured, whole
from tests.support.pbx import SENT_DBFS, Pbx

pytestmark = pytest.mark.asterisk

HZ = TONES["agent"]
SECONDS = 10


def interruptions(pcm: Pcm) -> int:
    """Count stretches of silence of 5 ms or more in the midst of the sound."""
    heard = sounding(pcm)
    blocks = np.abs(heard[: len(heard) // 80 * 80].reshape(-1, 80)).max(axis=1)
    return int(np.count_nonzero((blocks[:-1] > 0) & (blocks[1:] == 0)))


async def by_sleeping(call: ActiveCall, said: bytes) -> None:
    for start in range(0, len(said), FRAME):
        await call.send_audio(said[start : start + FRAME])
        await asyncio.sleep(0.02)


async def by_the_clock(call: ActiveCall, said: bytes) -> None:
    loop = asyncio.get_running_loop()
    dice = random.Random(5)
    began = loop.time() + 0.005
    for number, start in enumerate(range(0, len(said), FRAME)):
        due = began + number * 0.02 + dice.uniform(-0.005, 0.005)
        await asyncio.sleep(due - loop.time())
        await call.send_audio(said[start : start + FRAME])


async def test_who_sleeps_between_frames_is_interrupted_seldom(pbx: Pbx) -> None:
    """Sleeping takes longer than it should, so that for each second less is sent than is played.

    The silence that is missing cannot be avoided: it comes in few pieces.
    """

    async def measurement(pbx: Pbx) -> None:
        direct, caller, _ = await quiet_call(pbx)
        said = make_words(HZ, SECONDS)
        began = time.monotonic()
        await by_sleeping(direct.call, said)
        late = time.monotonic() - began - SECONDS
        await direct.call.spy()
        await all_heard(caller)
        assert without_silence(caller.pcm()) == said
        most = 2 + late / (MOST_REFILL - 0.04)
        whole(interruptions(caller.pcm()) <= most, "interrupted too often")

    await measured(pbx, measurement)


async def test_who_keeps_an_exact_clock_is_interrupted_once_at_most(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, _ = await quiet_call(pbx)
        said = make_words(HZ, SECONDS)
        await by_the_clock(direct.call, said)
        await direct.call.spy()
        await all_heard(caller)
        assert without_silence(caller.pcm()) == said
        # Each is a frame that nobody had to hear; why one may be missed: see machine.py.
        whole(interruptions(caller.pcm()) <= 1, "interrupted")

    await measured(pbx, measurement)


async def test_the_first_frame_of_an_utterance_waits_for_nothing(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, _ = await quiet_call(pbx)
        call = direct.call
        taken = []
        for number in range(10):
            # A sender who is late and learned to be held back; then a pause.
            await by_sleeping(call, make_words(HZ, 0.1))
            await all_heard(caller)
            await asyncio.sleep(0.1 + number / 500)
            began = time.monotonic()
            await call.send_audio(make_words(HZ, 0.02))
            await all_heard(caller)
            frames = [(at, frame) for at, frame in list(caller.frames)[-15:] if at >= began]
            heard = first_heard(frames, RATE, HZ, SENT_DBFS - 20)
            assert heard is not None
            taken.append((heard - began) * 1000)
        assert max(taken) <= 50, taken
        assert np.median(taken) <= 35, taken

    await measured(pbx, measurement)
