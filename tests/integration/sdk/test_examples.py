"""The program of README's first page, run as a reader runs it, between two real phones."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
import soundfile

from bridge.lab.hearing import Pcm, ToneMeter
from bridge.lab.phones import CallState, Silence, Tone
from bridge.lab.waiting import until
from tests.support.pbx import Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

EXAMPLE = Path(__file__).parents[3] / "examples" / "whisper.py"
RATE = 16000
FRAME = 320


def seconds_heard(pcm: Pcm, hz: float) -> float:
    levels = ToneMeter(RATE, hz, FRAME).track(pcm, FRAME)
    return sum(level > -30 for level in levels) * FRAME / RATE


async def test_the_callee_alone_hears_the_whisper_and_the_two_talk_on(
    pbx: Pbx, tmp_path: Path
) -> None:
    ari = pbx.instance.info.ari
    environment = {
        **os.environ,
        "CALLBRIDGE_ARI_URL": ari.url,
        "CALLBRIDGE_ARI_USERNAME": ari.username,
        "CALLBRIDGE_ARI_PASSWORD": ari.password,
    }
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), env=environment, cwd=tmp_path
    )
    try:
        caller = await pbx.phone("1001", source=Silence(), record=tmp_path / "caller.wav")
        callee = await pbx.phone("1002", source=Tone(1729.0), record=tmp_path / "callee.wav")
        await caller.call("1002")
        await callee.wait_state(CallState.CONFIRMED, timeout=10)
        await caller.play(Tone(1196.0, -12.0))
        await until_left(pbx)
        assert caller.state is CallState.CONFIRMED, "the two talk on"
        assert callee.state is CallState.CONFIRMED
        await caller.hangup()
        await until(lambda: callee.state is CallState.DISCONNECTED, "the callee is released")
    finally:
        program.terminate()
        await program.wait()
    for phone in (caller, callee):
        await phone.stop()
    heard = {
        who: soundfile.read(tmp_path / f"{who}.wav", dtype="int16")[0]
        for who in ("caller", "callee")
    }
    assert 0.4 <= seconds_heard(heard["caller"], 440) <= 0.6, "the greeting"
    assert seconds_heard(heard["callee"], 440) == 0
    assert 0.9 <= seconds_heard(heard["callee"], 880) <= 1.1, "the whisper"
    assert seconds_heard(heard["caller"], 880) == 0


async def until_left(pbx: Pbx) -> None:
    """Wait until the agent has no line left: two legs and two anchors stay."""

    async def no_line() -> bool:
        return not any("snoop" in i or "media" in i for i in await pbx.channels())

    await until_true(no_line, "the agent has left", within_s=10)
