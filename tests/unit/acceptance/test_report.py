"""What is said of a run to those who collect results of tests."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from bridge.lab.acceptance import RunReport, StepReport, as_junit


def report(message: str, *steps: StepReport) -> RunReport:
    return RunReport(
        name="x",
        file="x.yaml",
        site="here",
        verdict="failed",
        seconds=1.0,
        steps=steps,
        message=message,
    )


def test_what_no_step_failed_with_is_a_failed_case() -> None:
    skipped = StepReport(name="pause 1 s", verb="pause", line=3, verdict="skipped")
    [suite] = ET.fromstring(as_junit([report("1001 cannot sign in", skipped)]))  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("2", "1", "0")
    [error] = suite.findall("testcase/error")
    assert (error.get("message"), error.text) == ("1001 cannot sign in",) * 2
    assert len(suite.findall("testcase")) == 2


def test_what_xml_cannot_hold_is_left_out() -> None:
    failed = StepReport(name="x", verb="x", line=1, verdict="failed", message="red \x1b[31m \0")
    [suite] = ET.fromstring(as_junit([report("", failed)]))  # noqa: S314 - our own
    [failure] = suite.findall("testcase/failure")
    assert failure.text == "red �[31m �"
    assert not suite.findall("testcase/error")
