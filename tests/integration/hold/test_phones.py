"""What a real phone hears when it is put on hold, and brought back: no gap to speak of."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import Pcm
from bridge.lab.phones import CallState, Codec, Phone
from tests.audio.machine import remeasured
from tests.integration.hold.music import GAP_MS
from tests.support.pbx import CALLEE_TONE, Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones, pytest.mark.quiet]

_STEP_MS = 5
_LOUD_DBFS = -45.0


@remeasured
@pytest.mark.parametrize("codec", [Codec.L16_16000, Codec.PCMU])
async def test_no_gap_at_a_real_phone(pbx: Pbx, tmp_path: Path, codec: Codec) -> None:
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    ear = tmp_path / f"{time.monotonic_ns()}.wav"
    phone = await pbx.phone("1001", codec=codec, record=ear)
    await phone.call("1002")
    call = await program.next_call()
    await call.answer()
    connecting = asyncio.create_task(call.connect())
    leg = await pbx.callee_leg(call)
    ari = pbx.instance.info.ari
    callee = await pbx.keep(DirectParty.answer(ari, leg, tone=CALLEE_TONE))
    await connecting
    await phone.wait_state(CallState.CONFIRMED)
    await callee.wait_frames(100)
    begin = (await phone.record_position()).seconds
    for _ in range(3):
        await call.hold("caller")
        await callee.wait_frames(len(callee.frames) + 40)
        await call.unhold("caller")
        await callee.wait_frames(len(callee.frames) + 40)
    end = await _recorded(phone, (await phone.record_position()).seconds + 0.5)
    await phone.hangup()
    await phone.stop()
    heard, rate = soundfile.read(ear, dtype="int16")
    longest = longest_silence_ms(heard[round(begin * rate) : round(end * rate)], rate)
    assert longest <= GAP_MS, longest


async def _recorded(phone: Phone, until_s: float) -> float:
    async def enough() -> bool:
        return (await phone.record_position()).seconds >= until_s

    await until_true(enough, "the recording has grown")
    return until_s


def longest_silence_ms(pcm: Pcm, rate: int) -> float:
    """Return for how long at most nothing was heard at a stretch."""
    step = rate * _STEP_MS // 1000
    parts = pcm[: len(pcm) // step * step].reshape(-1, step).astype(np.float64)
    loud = np.sqrt(2 * np.mean(parts**2, axis=1)) > 32768 * 10 ** (_LOUD_DBFS / 20)
    edges = np.flatnonzero(np.concatenate(([True], loud, [True])))
    return float(np.max(np.diff(edges)) - 1) * _STEP_MS
