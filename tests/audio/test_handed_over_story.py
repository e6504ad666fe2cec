"""Who hears whom, and who hears music, while an AI hands its caller over to a human."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from bridge.lab.demo import DemoSettings, ThirdAct, run_third_act
from bridge.lab.demo.handed_over_story import BRIEF, HANDOVER_STEPS, HUMAN, ON_HOLD, HandedOver
from bridge.lab.demo.music import MUSIC
from bridge.lab.demo.result import StepResult
from bridge.lab.phones import Codec
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from tests.audio.cells import Hears, check_step
from tests.audio.machine import measured, whole
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

NOBODY: frozenset[Participant] = frozenset()
EVERYTHING = {CALLER, HUMAN, AGENT, BRIEF, MUSIC}

WITH_THE_AI: Hears = {CALLER: {AGENT}, AGENT: {CALLER}}
EXPECTED: tuple[Hears, ...] = (
    WITH_THE_AI,
    {CALLER: {MUSIC}, AGENT: set()},
    {CALLER: {MUSIC}, HUMAN: {BRIEF}, AGENT: set()},
    WITH_THE_AI,
    {CALLER: {MUSIC}, HUMAN: {AGENT}, AGENT: {HUMAN}},
    {CALLER: {HUMAN}, HUMAN: {CALLER}},
)

STORIES = (
    (Codec.L16_16000, NOBODY),
    (Codec.G722, frozenset({CALLEE})),
    (Codec.PCMU, frozenset({CALLER})),
    (Codec.L16_8000, frozenset({CALLER, CALLEE})),
)


def check(step: StepResult, expected: Hears, settings: DemoSettings) -> None:
    silent = {HUMAN if who == CALLEE else who for who in settings.silent}
    below_db = settings.codec.absent_below_db
    check_step(step, expected, EVERYTHING, silent=silent, below_db=below_db)
    assert step.ok
    lost = dict(step.direct.lost_frames)
    assert set(lost) == set(expected)
    whole(not any(lost.values()), f"{step.step.name}: lost {lost}")


@pytest.mark.parametrize(("codec", "silent"), STORIES)
async def test_every_voice_is_heard_by_whom_it_is_meant_for_and_by_nobody_else(
    pbx: Pbx, codec: Codec, silent: frozenset[Participant]
) -> None:
    settings = DemoSettings(codec=codec, silent=silent)

    async def measurement(pbx: Pbx) -> None:
        act = await run_third_act(pbx.instance, settings, lambda _text: None)
        assert len(act.steps) == len(EXPECTED)
        for step, hears in zip(act.steps, EXPECTED, strict=True):
            check(step, hears, settings)
        assert act.left == ()
        assert max(act.silences_ms) <= 200.0
        assert act.ok

    await measured(pbx, measurement)


async def test_a_story_that_goes_otherwise_is_seen_to_do_so(pbx: Pbx) -> None:
    """Without this, all tests above might only show that the measurement is deaf."""
    asked, on_hold, briefed, *_ = HANDOVER_STEPS
    steps = (asked, replace(on_hold, command=stay), on_hold, replace(briefed, matrix=ON_HOLD))

    async def measurement(pbx: Pbx) -> None:
        act = await run_third_act(pbx.instance, DemoSettings(), lambda _text: None, steps)
        assert not act.ok
        assert [step.ok for step in act.steps] == [True, False, True, False]
        assert cells(act, 1) == {(CALLER, AGENT), (CALLER, MUSIC), (AGENT, CALLER)}
        assert (HUMAN, BRIEF) in cells(act, 3)
        assert {listener for listener, _ in cells(act, 3)} == {HUMAN}

    await measured(pbx, measurement)


async def stay(_call: HandedOver) -> float:
    return time.monotonic()


def cells(act: ThirdAct, index: int) -> set[tuple[str, str]]:
    """Return (listener, speaker) of the cells that are wrong, on whichever call."""
    return {(listener, speaker) for _, listener, speaker, _ in act.steps[index].wrong}
