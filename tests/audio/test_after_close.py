"""The agent leaves: the two parties talk on as if nothing had happened."""

from __future__ import annotations

import pytest

from bridge import EndReason
from bridge.lab.ears import DirectParty
from bridge.lab.hearing import TONES, gaps, levels
from tests.audio.listening import RATE, loud_frames, talking_call, words
from tests.audio.machine import measured, whole
from tests.support.pbx import SENT_DBFS, Pbx

pytestmark = pytest.mark.asterisk

SECOND = 50
"""Frames."""


@pytest.mark.parametrize("mode", ["spy", "whisper", "barge"])
async def test_nothing_changes_for_the_parties_when_the_agent_leaves(pbx: Pbx, mode: str) -> None:
    async def measurement(pbx: Pbx) -> None:
        direct, caller, callee = await talking_call(pbx)
        call = direct.call
        await {"spy": call.spy, "whisper": call.whisper, "barge": call.barge}[mode]()
        caller.clear()
        callee.clear()
        await caller.wait_frames(SECOND // 2)
        await call.send_audio(words(TONES["agent"], 0.5))
        await caller.wait_frames(SECOND)
        await call.close()
        left = len(caller.frames)
        assert call.end_reason is EndReason.AGENT_LEFT
        await caller.wait_frames(left + 2 * SECOND)
        await callee.wait_frames(left + 2 * SECOND - 5)
        heard_by = {"spy": set(), "whisper": {callee}, "barge": {caller, callee}}[mode]
        for party, other in ((caller, "callee"), (callee, "caller")):
            undisturbed(party, other, agent=party in heard_by, left=left)

    await measured(pbx, measurement)


def undisturbed(party: DirectParty, other: str, *, agent: bool, left: int) -> None:
    """Compare what a party heard before and after. left: frames that it had heard at the close."""
    pcm = party.pcm()
    whole(not gaps(pcm, RATE, TONES[other]), "a party missed a frame of the other")
    assert loud_frames(party.frames) == len(party.frames)
    after = pcm[(left + 5) * RATE // SECOND :]
    before = pcm[: RATE // 3]
    for part in (before, after):
        level = levels(part, RATE, TONES)
        assert level.pop(other) == pytest.approx(SENT_DBFS, abs=0.5)
        assert max(level.values()) <= SENT_DBFS - 60
    during = levels(pcm[RATE // 2 : RATE], RATE, TONES)["agent"]
    assert (during > SENT_DBFS - 10) is agent


async def test_the_parties_part_as_they_like_after_the_agent_has_left(pbx: Pbx) -> None:
    direct, caller, callee = await talking_call(pbx)
    await direct.call.close()
    await callee.wait_frames(SECOND)
    await caller.hangup()
    await callee.wait_closed()
