"""The second act without an Asterisk: who is to hear whom, and how it is told."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from bridge.lab.demo.report import show
from bridge.lab.demo.result import DemoResult, Limits, Measured, Refused, SecondAct, StepResult
from bridge.lab.demo.supervised_story import SUPERVISED_STEPS, SUPERVISOR, Modes, Moment
from bridge.model.modes import SPY, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER

SENT = -15.0
SILENT = -120.0


def moments() -> list[Moment]:
    """Return all steps as they are told when each could be had."""
    modes: Modes = {}
    told = []
    for step in SUPERVISED_STEPS:
        modes = step.after(modes)
        told.append(step.told(modes))
    return told


def as_meant(moment: Moment) -> Measured:
    """Return what is heard when all is as it is to be."""
    hears = {
        listener: {
            speaker: SENT if (listener, speaker) in moment.matrix else SILENT
            for speaker in moment.speakers
        }
        for listener in moment.listeners
    }
    lost = dict.fromkeys(moment.counted, 0)
    return Measured(hears=hears, heard_after_ms=21.0, lost_frames=lost, held_up_frames=lost)


def step_result(moment: Moment) -> StepResult:
    heard = as_meant(moment)
    return StepResult(moment, frozenset(), Limits(SENT), heard, heard, notes=("a note",))


def result(act: SecondAct) -> DemoResult:
    return DemoResult("22.10.1", "L16/16000", {}, SENT, (), act)


def shown(act: SecondAct) -> str:
    text = io.StringIO()
    show(result(act), Console(file=text, width=80, soft_wrap=True))
    return text.getvalue()


def test_the_observers_hear_the_parties_and_whoever_barges() -> None:
    talk, spy, coached, both, barge, gone = moments()
    between = {(CALLER, CALLEE), (CALLEE, CALLER)}
    supervisor = {(SUPERVISOR, CALLER), (SUPERVISOR, CALLEE)}
    ai = {(AGENT, CALLER), (AGENT, CALLEE), (CALLER, AGENT)}
    assert talk.matrix == gone.matrix == between
    assert spy.matrix == between | supervisor
    assert coached.matrix == between | supervisor | {(CALLEE, SUPERVISOR)}
    assert both.matrix == coached.matrix | ai
    assert barge.matrix == both.matrix | {(CALLER, SUPERVISOR), (AGENT, SUPERVISOR)}


def test_who_observes_is_measured_and_who_is_gone_is_not() -> None:
    assert [len(moment.listeners) for moment in moments()] == [2, 3, 3, 4, 4, 2]


def test_frames_are_counted_for_all_but_a_supervisor_who_hears_the_tone_of_his_change() -> None:
    counted = [SUPERVISOR in moment.counted for moment in moments()]
    assert counted == [False, False, False, True, False, False]
    assert all({CALLER, CALLEE} <= set(moment.counted) for moment in moments())


def test_after_a_step_that_was_refused_all_is_as_before() -> None:
    _, spy, coached, both, _, _ = SUPERVISED_STEPS
    modes = spy.after({})
    assert modes == {SUPERVISOR: SPY}
    assert both.after(modes) == {SUPERVISOR: SPY, AGENT: whisper(CALLER)}
    assert coached.told(modes).matrix == spy.told(modes).matrix


def test_what_is_left_fails_the_act() -> None:
    act = SecondAct("a call", tuple(map(step_result, moments())))
    assert act.ok
    assert not replace(act, left=("channel Snoop/1",)).ok
    assert not result(replace(act, left=("channel Snoop/1",))).ok


def test_a_voice_in_the_wrong_ear_fails_the_act() -> None:
    spy = step_result(moments()[1])
    leak = as_meant(moments()[2])
    for wrong in (replace(spy, phones=leak), replace(spy, direct=leak)):
        act = SecondAct("a call", (wrong,))
        assert not act.ok
        assert "callee hears supervisor at -15.0 dBFS" in shown(act)


def test_a_refused_step_is_told_and_is_no_failure() -> None:
    talk, _, coached, *_ = moments()
    act = SecondAct("a call", (step_result(talk), Refused(coached, "nobody would hear it")))
    assert act.ok
    assert act.as_json()["steps"] == [
        step_result(talk).as_json(),
        {"name": coached.name, "mode": "whisper", "cannot_be_had": "nobody would hear it"},
    ]
    text = shown(act)
    assert f"2. {coached.name}\n   cannot be had: nobody would hear it\n" in text
    assert "Steps that could not be had: 1." in text


def test_json_is_added_to() -> None:
    act = SecondAct("c1 (caller, callee)", tuple(map(step_result, moments())))
    written = result(act).as_json()
    assert written["ok"] is True
    assert written["second_act"] == act.as_json()
    assert act.as_json()["live_call"] == "c1 (caller, callee)"
    assert "second_act" not in replace(result(act), second_act=None).as_json()


@pytest.mark.parametrize("number", range(6))
def test_a_table_fits_into_eighty_columns(number: int) -> None:
    moment = moments()[number]
    lines = shown(SecondAct("a call", (step_result(moment),))).splitlines()
    table = [line for line in lines if "✓" in line]
    assert len(table) == len(moment.listeners)
    assert all(len(line) <= 80 and line.count("✓") == 4 for line in table)


def test_a_key_is_timed_from_its_press() -> None:
    coached = moments()[2]
    text = shown(SecondAct("a call", (step_result(coached),)))
    assert "heard after 21 ms, behind a phone's jitter buffer 21 ms after the key's press" in text
    assert "\n   a note\n" in text
