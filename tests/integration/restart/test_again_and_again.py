"""Programs that die one after the other, and one that lives on when the next one begins."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.lab.waiting import until
from bridge.media.recording import Facts
from bridge.sdk.recording import Recording
from bridge.session.transfer import Stage
from tests.audio.machine import measured, whole
from tests.integration.restart.program import FOLDER
from tests.integration.restart.scene import (
    MUSIC,
    PROGRAM,
    TALK,
    Scene,
    keys_left,
    killed,
    next_program,
    stage,
)
from tests.support.child import child
from tests.support.pbx import Pbx

pytestmark = pytest.mark.asterisk

PROGRAMS = 4


async def test_an_offer_outlives_them_all(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with killed(pbx, "offered") as scene:
            for _ in range(PROGRAMS):
                async with child(pbx, PROGRAM) as program:
                    await program.die()
            async with next_program(pbx) as after:
                await after.resumed(1)
                (call,) = after.calls.values()
                transfer = call.transfer_in_progress
                assert transfer is not None
                assert transfer.stage is Stage.RINGING
                assert {p.name for p in call.parties if p.apart} == {"human"}
                silence_s = await scene.silence_s("caller")
                await scene.conference.parties_hear(TALK["offered"], "caller")
                await call.disconnect(cut=True)
                for party in scene.people.values():
                    await party.wait_closed()
                await until(lambda: not after.client.calls, "it is over")
                await pbx.empty()
            assert await keys_left(pbx) == []
        whole(silence_s < 0.06, f"silence for {silence_s:.3f} s")

    await measured(pbx, measurement)


@pytest.mark.parametrize("state", ["consulting", "recorded"])
async def test_the_one_before_lives_on(
    pbx: Pbx, state: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))

    async def measurement(pbx: Pbx) -> None:
        async with child(pbx, PROGRAM) as program:
            scene = await stage(pbx, program, state)
            lost, silence_s = await _replaced(pbx, scene, state)
            # It is told that it has nothing to do any more, and takes nothing with it.
            assert await program.process.wait() == 1
        whole(not lost, lost)
        whole(silence_s < 0.06, f"silence for {silence_s:.3f} s")

    await measured(pbx, measurement)


async def _replaced(pbx: Pbx, scene: Scene, state: str) -> tuple[object, float]:
    """Let the next program begin; return who missed what, and the longest silence."""
    people = scene.people.values()
    await asyncio.gather(*(p.wait_frames(len(p.frames) + 15) for p in people))
    scene.clear()
    await asyncio.gather(*(p.wait_frames(25) for p in people))
    async with next_program(pbx) as after:
        await after.resumed(1)
        (call,) = after.calls.values()
        lost = await scene.lost()
        on_hold = [MUSIC[state]] if state in MUSIC else []
        silence_s = await scene.silence_s(MUSIC[state]) if on_hold else 0.0
        await scene.conference.parties_hear(TALK[state], *on_hold)
        recordings: tuple[Recording, ...] = ()
        if state == "recorded":
            await until(lambda: call.recordings, "it is recorded again")
            recordings = call.recordings
            await until(lambda: len(recordings[0].files) > 1, "there is another part")
        await call.disconnect(cut=True)
        for party in people:
            await party.wait_closed()
        for recording in recordings:
            await recording.wait_ended()
            facts = Facts.read(recording.path)
            assert (facts.end_cause, len(facts.parts)) == (recording.ended_by, 2)
            assert all(part.seconds for part in facts.parts)
        await pbx.empty()
    assert await keys_left(pbx) == []
    return lost, silence_s
