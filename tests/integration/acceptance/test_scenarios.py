"""The lab's scenarios, and runs that have to fail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.lab.acceptance import (
    LabSite,
    RunReport,
    StepReport,
    as_junit,
    load,
    parse,
    perform,
)
from bridge.lab.acceptance.report import flat
from bridge.lab.acceptance.stage import voices_of
from bridge.lab.hearing import tone
from bridge.lab.waiting import until
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

SCENARIOS = sorted((Path(__file__).parents[3] / "bridge/lab/scenarios").glob("*.yaml"))

TALKING = """\
name: two talk
phones: {anna: 1001, ben: 1002, carl: 1003}
steps:
  - place: {from: anna, to: 91002}
  - pick_up: ben
  - hears: {anna: ben, ben: anna}
"""


async def performed(pbx: Pbx, text: str) -> RunReport:
    return await perform(parse(TALKING + text), LabSite(pbx.instance.info))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: str(path.stem))
async def test_a_scenario_of_the_lab(pbx: Pbx, path: Path) -> None:
    report = await perform(load(path), LabSite(pbx.instance.info))
    assert report.failures == ()
    assert report.verdict == "passed"
    assert all(step.verdict == "passed" for step in flat(report.steps))


WRONG = {
    "hears: {anna: []}": "anna hears, unwanted, ben",
    "hears: {carl: anna}": "carl does not hear anna",
    "hears: {anna: music}": "anna hears, unwanted, ben",
    "silence: anna": "anna hears something",
    "no_tone: {at: anna, hz: 973}": "anna heard a tone of 973 Hz",
    "tone: {at: anna, hz: 1300}": "anna heard a tone of 1300 Hz for 0.0",
    "sound: carl": "carl heard anything for 0.00 s",
    "expect: {phone: carl, state: ringing}": "carl is idle: not ringing within",
    "expect: {phone: ben, state: talking, code: 486}": "ben still talks, not with 486",
    "digits: {at: ben, keys: '1'}": "ben has '' within",
    "pick_up: carl": "phone 1003 has no call",
}


async def test_what_is_not_as_expected_fails_and_the_rest_is_not_done(pbx: Pbx) -> None:
    branches = [f"    - {step}\n      within: 300ms\n" for step in WRONG]
    report = await performed(pbx, f"  - together:\n{''.join(branches)}  - hang_up: anna\n")
    together, after = report.steps[-2:]
    assert [report.verdict, together.verdict, after.verdict] == ["failed", "failed", "skipped"]
    found = {
        said: branch[0].message
        for said, branch in zip(WRONG.values(), together.branches, strict=True)
    }
    assert [(said, message) for said, message in found.items() if said not in message] == []
    assert [branch[0].line for branch in together.branches] == [
        8 + 2 * n for n in range(len(WRONG))
    ]
    assert len(report.failures) == len(WRONG)
    assert report.failures[0].startswith("two talk:8: hears anna: nobody: anna hears, unwanted")


async def test_a_voice_that_was_there_for_a_moment_is_a_leak(pbx: Pbx) -> None:
    steps = "  - mute: carl\n  - pause: 2s\n  - hears: {anna: ben, ben: anna}\n"
    run = parse(TALKING + steps)
    program = await pbx.program()
    muted = asyncio.Event()

    async def leak() -> None:
        await muted.wait()
        async with await program.client.observe("1001", "leak") as observer:
            await observer.barge()
            heard = tone(voices_of(run)["carl"], -15.0, 0.2, 16000)
            await observer.send_audio(heard.astype("<i2").tobytes())
            await until(lambda: not observer.get_send_audio_buffer_size(), "it was said")

    def tell(step: StepReport) -> None:
        if step.verb == "mute":
            muted.set()

    leaking = asyncio.create_task(leak())
    report = await perform(run, LabSite(pbx.instance.info), tell=tell)
    await leaking
    [failure] = report.failures
    assert failure.startswith("two talk:9: ")
    assert "heard carl for a moment meanwhile" in failure


async def test_branches_of_together_fail_on_their_own(pbx: Pbx) -> None:
    steps = """\
  - together:
      - - expect: {phone: carl, state: talking}
          within: 200ms
        - hang_up: carl
      - press: {phone: anna, keys: "7"}
  - digits: {at: ben, keys: "7"}
"""
    report = await performed(pbx, steps)
    together, after = report.steps[-2:]
    assert together.verdict == "failed"
    verdicts = [[step.verdict for step in branch] for branch in together.branches]
    assert verdicts == [["failed", "skipped"], ["passed"]]
    assert after.verdict == "skipped"
    xml = as_junit([report])
    assert 'tests="7" failures="1" errors="0" skipped="2"' in xml
    assert xml.count("<testcase") == 7
    assert '<failure message="carl is idle: not talking within 0.2 s">' in xml


async def test_what_the_program_may_not_do_fails_the_step(pbx: Pbx) -> None:
    report = await performed(pbx, "  - observe: {call: anna, as: coach}\n  - hang_up: coach\n")
    assert report.steps[-1].message == "coach observes: only an agent can do that"


async def test_a_run_that_cannot_begin_says_why(pbx: Pbx) -> None:
    text = "name: x\nphones: {a: {extension: 1001, password: no}}\nsteps: [{pause: 1s}]\n"
    report = await perform(parse(text), LabSite(pbx.instance.info))
    assert report.verdict == "failed"
    assert "1001" in report.message
    assert [step.verdict for step in report.steps] == ["skipped"]


async def test_a_run_is_over_in_time(pbx: Pbx) -> None:
    text = "name: x\nphones: {}\ntimeout: 1s\nsteps: [{pause: 1min}]\n"
    report = await perform(parse(text), LabSite(pbx.instance.info))
    assert report.message == "the run was not over within 1 s"
    [step] = report.steps
    assert (step.verdict, step.message) == ("failed", "it was not over when the run had to be")


async def test_a_transfer_that_goes_on_is_waited_for_as_long_as_is_said(pbx: Pbx) -> None:
    text = """\
name: x
phones: {anna: 1001, carl: {extension: 1003, answer: ring}}
steps:
  - place: {from: anna, to: 1002}
  - answer: anna
  - transfer: {by: ai, to: carl}
  - transferred: ai
    within: 300ms
"""
    report = await perform(parse(text), LabSite(pbx.instance.info))
    assert report.steps[-1].message == "it was not in effect within 0.3 s"
    assert report.message == ""


async def test_it_is_told_how_it_is_when_the_time_is_over(pbx: Pbx) -> None:
    text = """\
name: x
phones: {anna: 1001, ben: {extension: 1002, answer_after: 300ms}}
steps:
  - place: {from: anna, to: 91002}
  - expect: {phone: ben, state: ended}
    within: 1s
"""
    report = await perform(parse(text), LabSite(pbx.instance.info))
    assert report.steps[-1].message == "ben is talking: not ended within 1 s"


async def test_what_was_heard_and_recorded_is_kept(pbx: Pbx, tmp_path: Path) -> None:
    run = parse(TALKING + "  - hang_up: anna\n")
    report = await perform(run, LabSite(pbx.instance.info), keep=tmp_path / "kept")
    assert report.verdict == "passed"
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {
        "anna.wav",
        "ben.wav",
        "carl.wav",
    }
