"""Who hears whom while a supervisor and an AI observe a call that no application placed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from bridge.ari.capabilities import is_since, parse_version
from bridge.lab.demo import DemoSettings, SecondAct, run_second_act
from bridge.lab.demo.result import Refused, StepResult
from bridge.lab.demo.supervised_story import SUPERVISED_STEPS, SUPERVISOR, Supervised
from bridge.lab.phones import Codec
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from tests.audio.cells import Hears, check_step
from tests.audio.machine import measured, whole
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

NOBODY: frozenset[Participant] = frozenset()
BOTH = frozenset({CALLER, CALLEE})
EVERYBODY = {CALLER, CALLEE, SUPERVISOR, AGENT}
WHISPERS_TO_ALL = {22: (22, 11)}
"""Versions that whisper to a party whose far side sends nothing at all."""

TALK: Hears = {CALLER: {CALLEE}, CALLEE: {CALLER}}
SPY: Hears = {**TALK, SUPERVISOR: {*BOTH}}
COACHED: Hears = {**SPY, CALLEE: {CALLER, SUPERVISOR}}
BOTH_COACHED: Hears = {**COACHED, CALLER: {CALLEE, AGENT}, AGENT: {*BOTH}}
COACHED_BY_AI: Hears = {**SPY, CALLER: {CALLEE, AGENT}, AGENT: {*BOTH}}
BARGED: Hears = {
    CALLER: {CALLEE, SUPERVISOR, AGENT},
    CALLEE: {CALLER, SUPERVISOR},
    SUPERVISOR: {*BOTH},
    AGENT: {*BOTH, SUPERVISOR},
}

EXPECTED: Mapping[frozenset[Participant], tuple[Hears | None, ...]] = {
    NOBODY: (TALK, SPY, COACHED, BOTH_COACHED, BARGED, TALK),
    frozenset({CALLER}): (TALK, SPY, None, COACHED_BY_AI, None, TALK),
    frozenset({CALLEE}): (TALK, SPY, COACHED, None, None, TALK),
    BOTH: (TALK, SPY, None, None, None, TALK),
}
"""By the parties that send no RTP; None: cannot be had by versions below WHISPERS_TO_ALL."""

STORIES = (
    (Codec.L16_16000, NOBODY),
    (Codec.G722, frozenset({CALLEE})),
    (Codec.PCMU, frozenset({CALLER})),
    (Codec.L16_8000, BOTH),
)


def check(step: StepResult, expected: Hears, settings: DemoSettings) -> None:
    below_db = settings.codec.absent_below_db
    check_step(step, expected, EVERYBODY, silent=settings.silent, below_db=below_db)
    assert step.ok
    assert {CALLER, CALLEE} <= set(step.direct.lost_frames)
    lost = {**step.direct.lost_frames}
    whole(not any(lost.values()), f"{step.step.name}: lost {lost}")
    late = {who: step.direct.held_up_frames[who] for who in BOTH}
    whole(not any(late.values()), f"{step.step.name}: held up {late}")


@pytest.mark.parametrize(("codec", "silent"), STORIES)
async def test_every_voice_is_heard_by_whom_it_is_meant_for_and_by_nobody_else(
    pbx: Pbx, codec: Codec, silent: frozenset[Participant]
) -> None:
    settings = DemoSettings(codec=codec, silent=silent)
    version = parse_version(pbx.instance.info.version)
    expected = EXPECTED[NOBODY if is_since(version, WHISPERS_TO_ALL) else silent]

    async def measurement(pbx: Pbx) -> None:
        act = await tell(pbx, settings)
        assert len(act.steps) == len(expected)
        for step, hears in zip(act.steps, expected, strict=True):
            if hears is None:
                assert isinstance(step, Refused), step.step.name
                assert "would not hear it" in step.why
            else:
                assert isinstance(step, StepResult), step
                check(step, hears, settings)
        assert act.left == ()
        assert act.ok
        assert "PJSIP/1001" in act.live_call
        assert "PJSIP/1002" in act.live_call

    await measured(pbx, measurement)


async def test_a_story_that_goes_otherwise_is_seen_to_do_so(pbx: Pbx) -> None:
    """Without this, all tests above might only show that the measurement is deaf."""
    talk, spy, coached, *_, gone = SUPERVISED_STEPS
    steps = (talk, spy, replace(coached, command=lambda c: c.barge()), replace(gone, command=stay))

    async def measurement(pbx: Pbx) -> None:
        act = await run_second_act(pbx.instance, DemoSettings(), lambda _text: None, steps)
        assert not act.ok
        assert [step.ok for step in act.measured] == [True, True, False, False]
        assert cells(act, 2) == {(CALLER, SUPERVISOR)}
        assert cells(act, 3) == {(CALLER, SUPERVISOR), (CALLEE, SUPERVISOR)}
        assert any("PJSIP/1003" in name for name in act.left)
        assert any("Snoop/" in name for name in act.left)

    await measured(pbx, measurement)


async def stay(_call: Supervised) -> float:
    return time.monotonic()


async def tell(pbx: Pbx, settings: DemoSettings) -> SecondAct:
    return await run_second_act(pbx.instance, settings, lambda _text: None)


def cells(act: SecondAct, index: int) -> set[tuple[str, str]]:
    """Return (listener, speaker) of the cells that are wrong, on whichever call."""
    return {(listener, speaker) for _, listener, speaker, _ in act.measured[index].wrong}
