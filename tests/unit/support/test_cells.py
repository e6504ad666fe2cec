"""What judges a step of a story: a wrong ear, a wrong voice, perhaps a frame that was missed."""

from __future__ import annotations

import pytest

from bridge.lab.demo.music import MUSIC
from bridge.lab.demo.result import Limits, Measured, StepResult
from bridge.lab.demo.story import STEPS
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from tests.audio.cells import Hears, check_step
from tests.audio.machine import FrameMissedError
from tests.support.hearing import WrongEarError

SENT = -15.0
VOICES = (CALLER, CALLEE, AGENT, MUSIC)
EXPECTED: Hears = {CALLER: {CALLEE}, CALLEE: {CALLER}, AGENT: {MUSIC}}


def heard(
    changed: tuple[Participant, Participant, float] | None = None, other: float = -120.0
) -> Measured:
    """Return what is heard when all is as expected, but for one cell."""
    hears = {
        listener: {voice: SENT if voice in wanted else -120.0 for voice in VOICES}
        for listener, wanted in EXPECTED.items()
    }
    if changed is not None:
        listener, voice, dbfs = changed
        hears[listener][voice] = dbfs
    nobody = dict.fromkeys(EXPECTED, 0)
    return Measured(hears, None, nobody, nobody, other_calls=dict.fromkeys(EXPECTED, other))


def check(phones: Measured, direct: Measured) -> None:
    step = StepResult(STEPS[2], frozenset(), Limits(SENT), phones, direct)
    check_step(step, EXPECTED, VOICES, silent=(), below_db=40.0)


def test_all_is_as_it_must_be() -> None:
    check(heard(), heard())
    check(heard((CALLER, AGENT, -56.0)), heard())
    check(heard((AGENT, CALLER, -36.0)), heard((AGENT, CALLER, -36.0)))


@pytest.mark.parametrize("listener", [CALLER, CALLEE])
@pytest.mark.parametrize("voice", [AGENT, MUSIC])
def test_a_voice_in_the_wrong_ear_is_no_frame_that_was_missed(
    listener: Participant, voice: Participant
) -> None:
    for pair in (
        (heard((listener, voice, SENT)), heard()),
        (heard(), heard((listener, voice, SENT))),
    ):
        with pytest.raises(WrongEarError):
            check(*pair)


def test_another_call_in_an_ear_is_a_voice_in_the_wrong_ear() -> None:
    with pytest.raises(WrongEarError, match="another call"):
        check(heard(), heard(other=-30.0))


def test_a_faint_trace_is_perhaps_a_frame_that_was_missed() -> None:
    with pytest.raises(FrameMissedError):
        check(heard(), heard((CALLER, AGENT, -56.0)))
    with pytest.raises(FrameMissedError):
        check(heard((CALLER, AGENT, -36.0)), heard())


@pytest.mark.parametrize("dbfs", [-120.0, SENT - 4, SENT + 4])
def test_a_voice_that_is_not_there_as_it_is_said_is_neither(dbfs: float) -> None:
    with pytest.raises(AssertionError, match="caller hears callee") as caught:
        check(heard((CALLER, CALLEE, dbfs)), heard())
    assert not isinstance(caught.value, (WrongEarError, FrameMissedError))
