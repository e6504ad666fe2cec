"""The third act without an Asterisk: who is to hear what, and how it is told."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from bridge.lab.demo.handed_over_story import BRIEF, HANDOVER_STEPS, HUMAN, HandoverStep
from bridge.lab.demo.music import MUSIC
from bridge.lab.demo.report import show
from bridge.lab.demo.result import DemoResult, Limits, Measured, StepResult, ThirdAct
from bridge.model.participants import AGENT, CALLER, Participant

SENT = -15.0
SILENT = -120.0
MUSIC_LEVEL = -24.0


def level(step: HandoverStep, listener: Participant, speaker: Participant) -> float:
    if (listener, speaker) not in step.matrix:
        return SILENT
    return MUSIC_LEVEL if speaker == MUSIC else SENT


def as_meant(step: HandoverStep) -> Measured:
    """Return what is heard when all is as it is to be."""
    hears = {
        listener: {speaker: level(step, listener, speaker) for speaker in step.speakers}
        for listener in step.listeners
    }
    lost = dict.fromkeys(step.counted, 0)
    return Measured(hears=hears, heard_after_ms=21.0, lost_frames=lost, held_up_frames=lost)


def otherwise(
    step: HandoverStep, listener: Participant, speaker: Participant, dbfs: float
) -> Measured:
    """Return the same but for one cell."""
    meant = as_meant(step)
    levels = {**meant.hears[listener], speaker: dbfs}
    return replace(meant, hears={**meant.hears, listener: levels})


def step_result(step: HandoverStep) -> StepResult:
    heard = as_meant(step)
    return StepResult(step, frozenset(), Limits(SENT), heard, heard, notes=("a note",))


def whole() -> ThirdAct:
    return ThirdAct(tuple(map(step_result, HANDOVER_STEPS)), (20.0,) * len(HANDOVER_STEPS))


def result(act: ThirdAct) -> DemoResult:
    return DemoResult("22.10.1", "L16/16000", {}, SENT, (), third_act=act)


def shown(act: ThirdAct) -> str:
    text = io.StringIO()
    show(result(act), Console(file=text, width=80, soft_wrap=True))
    return text.getvalue()


def test_the_caller_always_hears_somebody_or_music() -> None:
    heard = [{s for listener, s in step.matrix if listener == CALLER} for step in HANDOVER_STEPS]
    assert heard == [{AGENT}, {MUSIC}, {MUSIC}, {AGENT}, {MUSIC}, {HUMAN}]


def test_the_brief_is_for_the_human_alone() -> None:
    told = [{who for who, speaker in step.matrix if speaker == BRIEF} for step in HANDOVER_STEPS]
    assert told == [set(), set(), {HUMAN}, set(), set(), set()]


def test_who_is_on_the_call_is_measured() -> None:
    assert [len(step.listeners) for step in HANDOVER_STEPS] == [2, 2, 3, 2, 3, 2]
    for step in HANDOVER_STEPS:
        assert {listener for listener, _ in step.matrix} <= set(step.listeners)


@pytest.mark.parametrize(
    ("number", "listener", "speaker", "dbfs"),
    [
        (1, CALLER, MUSIC, -50.0),
        (1, CALLER, AGENT, -30.0),
        (2, CALLER, BRIEF, -15.0),
        (2, HUMAN, MUSIC, -40.0),
        (2, HUMAN, CALLER, -70.0),
        (4, CALLER, HUMAN, -15.0),
        (4, HUMAN, AGENT, -25.0),
        (5, CALLER, HUMAN, SILENT),
    ],
)
def test_a_sound_in_the_wrong_ear_fails_the_act(
    number: int, listener: Participant, speaker: Participant, dbfs: float
) -> None:
    step = HANDOVER_STEPS[number]
    wrong = otherwise(step, listener, speaker, dbfs)
    meant = step_result(step)
    for heard in (replace(meant, phones=wrong), replace(meant, direct=wrong)):
        act = ThirdAct((heard,), (0.0,))
        assert not act.ok
        assert f"{listener} hears {speaker} at {dbfs:.1f} dBFS" in shown(act)
    assert replace(meant, phones=wrong).holds(listener, speaker) is False


def test_what_music_has_of_a_tone_is_no_voice() -> None:
    heard = otherwise(HANDOVER_STEPS[1], CALLER, AGENT, -40.0)
    assert ThirdAct((replace(step_result(HANDOVER_STEPS[1]), phones=heard),), (0.0,)).ok


def test_a_caller_in_silence_fails_the_act() -> None:
    act = replace(whole(), silences_ms=(0.0, 240.0, 0.0, 0.0, 0.0, 200.0))
    assert not act.ok
    assert act.silent == ((HANDOVER_STEPS[1].name, 240.0),)
    assert f"{HANDOVER_STEPS[1].name}: before it the caller heard nothing for 240 ms" in shown(act)


def test_what_is_left_fails_the_act() -> None:
    act = replace(whole(), left=("channel Snoop/1",))
    assert not act.ok
    assert "left in Asterisk: channel Snoop/1" in shown(act)


def test_json_is_added_to() -> None:
    act = whole()
    written = result(act).as_json()
    assert written["ok"] is True
    assert written["third_act"] == act.as_json()
    steps = [{**step.as_json(), "longest_silence_ms": 20.0} for step in act.steps]
    assert act.as_json() == {"ok": True, "steps": steps, "left": []}
    assert "third_act" not in replace(result(act), third_act=None).as_json()


def test_a_table_fits_into_eighty_columns() -> None:
    tables = [line for line in shown(whole()).splitlines() if "✓" in line]
    assert len(tables) == sum(len(step.listeners) for step in HANDOVER_STEPS)
    assert all(len(line) <= 80 and line.count("✓") == 5 for line in tables)


def test_steps_are_numbered_through_all_acts() -> None:
    text = shown(whole())
    assert "\nThird act: " in text
    for number, step in enumerate(HANDOVER_STEPS, 1):
        assert f"\n{number}. {step.name}\n" in text
    assert "\n   a note\n" in text
