"""What the caller hears all the way through a transfer: never silence, never a word not for him."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.lab.hearing import ToneMeter, pcm_from_bytes, tone
from bridge.session.transfer.effects import Outcome
from tests.audio.machine import anew, whole
from tests.support.conference import HZ, RATE
from tests.support.pbx import SENT_DBFS, Pbx
from tests.support.transfers import HUMAN, TransferScene, spoken_brief

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]

SILENCE_SECONDS = 0.2
FRAME_SECONDS = 0.02
QUIET_DBFS = -60.0
FRAME = RATE // 50


def quiet_frames(frames: list[bytes]) -> list[int]:
    """Return how many frames in a row were silent, for each such row."""
    rows, row = [], 0
    for frame in frames:
        peak = float(np.abs(pcm_from_bytes(frame).astype(np.float64)).max())
        if 20 * np.log10(max(peak, 1.0) / 32768) < QUIET_DBFS:
            row += 1
        elif row:
            rows.append(row)
            row = 0
    return [*rows, row]


def frames_with(name: str, frames: list[bytes]) -> int:
    """Return in how many frames somebody's voice is, loud enough for no other's edge."""
    meter = ToneMeter(RATE, HZ[name], FRAME)
    return sum(meter.dbfs(pcm_from_bytes(frame)) > SENT_DBFS - 10 for frame in frames)


@anew
async def test_from_the_ai_to_the_human(pbx: Pbx) -> None:
    """The AI talks up to the transfer; the human's brief and the consult are not for the caller."""
    scene = await TransferScene.begin(pbx)
    caller = scene.conference.people["caller"]
    await scene.speak_to("caller")
    caller.clear()
    scene.call.clear_send_audio_buffer()
    await scene.call.send_audio(tone(HZ["ai"], SENT_DBFS, 0.5, RATE).astype("<i2").tobytes())
    transfer = await scene.call.transfer(HUMAN, brief=spoken_brief(1.0), consult=True)
    words = [payload for _, payload in caller.frames]
    await scene.answer()
    await scene.press("human", "1")
    await transfer.wait_accepted()
    await scene.speak_to("human")
    await caller.wait_seconds(0.5)
    await transfer.complete(cut=True)
    assert await transfer.wait() is Outcome.COMPLETED
    await caller.wait_frames(len(caller.frames) + 25)
    frames = [payload for _, payload in caller.frames]
    assert max(quiet_frames(frames)) * FRAME_SECONDS <= SILENCE_SECONDS
    whole(frames_with("ai", words) in {24, 25}, frames_with("ai", words))
    assert frames_with("ai", frames) == frames_with("ai", words)
    assert frames_with("brief", frames) == 0
    assert frames_with("human", frames) >= 20


@anew
async def test_back_to_the_ai(pbx: Pbx) -> None:
    """Nobody takes it: between the music and the AI there is no silence but its own."""
    scene = await TransferScene.begin(pbx)
    caller = scene.conference.people["caller"]
    await scene.speak_to("caller")
    scene.call.clear_send_audio_buffer()
    transfer = await scene.call.transfer(HUMAN, accept_seconds=1.0)
    caller.clear()
    await scene.answer()
    assert await transfer.wait() is Outcome.FAILED
    back = len(caller.frames)
    await scene.conference.speak()
    await caller.wait_frames(back + 50)
    frames = [payload for _, payload in caller.frames]
    assert max(quiet_frames(frames)) * FRAME_SECONDS <= SILENCE_SECONDS
    assert frames_with("human", frames) == 0
    assert frames_with("ai", frames) >= 20
