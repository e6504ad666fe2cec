"""Twenty calls in all states: the program is killed, and another has all of them a moment later."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pytest
import soundfile

from bridge import AudioMode, CallState
from bridge.lab.hearing import gaps
from tests.audio.machine import measured, whole
from tests.integration.restart.program import FOLDER, RATE
from tests.integration.restart.scene import (
    MUSIC,
    PICKED_UP,
    PROGRAM,
    TALK,
    Next,
    Scene,
    cleared,
    longest_silence_s,
    next_program,
    stage,
)
from tests.support.child import Child, child
from tests.support.conference import HZ
from tests.support.pbx import Pbx, state_of

pytestmark = [pytest.mark.asterisk, pytest.mark.alone, pytest.mark.timeout(240)]

COUNTS: Mapping[str, int] = {
    "answered": 1,
    "talking": 2,
    "whispering": 3,
    "held": 3,
    "conference": 1,
    "apart": 1,
    "taken_over": 1,
    "observed": 1,
    "recorded": 2,
    "parked": 1,
    "transferring": 1,
    "offered": 1,
    "consulting": 1,
    "aside": 1,
}
CALLS = 20
UNDER_CONTROL_S = 2.0
LONGEST_SILENCE_S = 0.06
FEW = 0.002
"""Of the frames, which some twenty calls lose on this machine whatever the program does; one frame
of every party would be more."""
_ALONE = {"answered", "parked", "transferring", "offered"}


async def test_the_program_is_killed(
    pbx: Pbx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    attempts = count()

    async def measurement(pbx: Pbx) -> None:
        folder = tmp_path / str(next(attempts))
        monkeypatch.setenv(FOLDER, str(folder))
        scenes: dict[str, Scene] = {}
        try:
            async with child(pbx, PROGRAM) as program:
                await staged(pbx, program, scenes)
                await program.die()
                await passed(scenes, 50)
            await taken_up(pbx, scenes)
        finally:
            await cleared(pbx, scenes.values())
        recordings_are_whole(folder)

    await measured(pbx, measurement)


async def staged(pbx: Pbx, program: Child, scenes: dict[str, Scene]) -> None:
    """Have twenty calls, and forget what was heard before they were as they are."""
    for state, how_many in COUNTS.items():
        for index in range(how_many):
            number = f"19{list(COUNTS).index(state):02d}{index}"
            scenes[number] = await stage(pbx, program, state, number)
    assert len(scenes) == CALLS
    await passed(scenes, 15)
    for scene in scenes.values():
        scene.clear()
    await passed(scenes, 50)


async def taken_up(pbx: Pbx, scenes: Mapping[str, Scene]) -> None:
    """Let the next program have them."""
    async with next_program(pbx) as after:
        await after.resumed(len(scenes))
        await after.observed(3)
        slowest_s = max(after.under_control_s.values())
        sys.stdout.write(f"{len(scenes)} calls under control in {slowest_s:.3f} s\n")
        as_they_were(after, scenes)
        await passed(scenes, 50)
        unharmed(scenes)
        assert slowest_s < UNDER_CONTROL_S
        await ended(after, scenes)


async def passed(scenes: Mapping[str, Scene], frames: int) -> None:
    """Wait until everybody has heard so many frames more."""
    people = [party for scene in scenes.values() for party in scene.people.values()]
    await asyncio.gather(*(party.wait_frames(len(party.frames) + frames) for party in people))


def as_they_were(after: Next, scenes: Mapping[str, Scene]) -> None:
    """All calls are as before, and their agents silent unless they are alone with somebody."""
    assert after.incoming == []
    for number, scene in scenes.items():
        call, state = after.calls[number], scene.state
        there = {"caller", *PICKED_UP[state]} - {"boss"}
        assert {party.name for party in call.parties if party.joined} == there, state
        held = {MUSIC[state]} if state in MUSIC else set()
        assert {party.name for party in call.parties if party.held} == held, state
        alone = state in _ALONE
        assert state_of(call) is (CallState.ANSWERED if alone else CallState.CONNECTED), state
        speaks = alone and state != "parked"
        assert call.mode is (AudioMode.BARGE if speaks else AudioMode.SPY), state
        assert (call.parked_in is not None) is (state == "parked")
        transfers = state in {"transferring", "offered", "consulting", "aside"}
        assert (call.transfer_in_progress is not None) is transfers, state
    assert {observer.mode for observer in after.observers} == {AudioMode.SPY}


def unharmed(scenes: Mapping[str, Scene]) -> None:
    """Nobody lost frames of whom he talks with, and music had no gap."""
    lost: Counter[tuple[str, str, str]] = Counter()
    frames = 0
    for scene in scenes.values():
        for listener, speaker in TALK[scene.state]:
            party = scene.people[listener]
            frames += len(party.frames)
            lost[scene.state, listener, speaker] += len(gaps(party.pcm(), RATE, HZ[speaker]))
        if (name := MUSIC.get(scene.state)) is not None:
            silence_s = longest_silence_s(scene.people[name])
            whole(silence_s < LONGEST_SILENCE_S, f"{scene.state}: silence for {silence_s:.3f} s")
    sys.stdout.write(f"{lost.total()} of {frames} frames lost\n")
    whole(lost.total() <= FEW * frames, +lost)


async def ended(after: Next, scenes: Mapping[str, Scene]) -> None:
    """All of them obey."""
    await asyncio.gather(*(call.disconnect(cut=True) for call in after.calls.values()))
    people = [party for scene in scenes.values() for party in scene.people.values()]
    await asyncio.gather(*(party.wait_closed() for party in people))
    assert after.client.calls == ()


def recordings_are_whole(folder: Path) -> None:
    """Each is in two parts, both of which can be played."""
    files = sorted(folder.rglob("*.wav"))
    assert len(files) == 2 * COUNTS["recorded"]
    for file in files:
        assert soundfile.info(file).duration > 0.5, file
