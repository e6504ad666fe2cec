"""What became of a run, for people, for programs, and for whoever collects test results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final
from xml.etree import ElementTree as ET

import msgspec
from rich.console import Console
from rich.markup import escape

from bridge.lab.acceptance.model import Run, Step, Verdict
from bridge.lab.acceptance.steps import Together

_SIGNS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[dim]-[/]"}
_NO_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, as a phone's log may."""


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step."""

    name: str
    verb: str
    line: int
    verdict: Verdict
    seconds: float = 0.0
    message: str = ""
    """Why it failed."""
    measured: dict[str, Any] = {}
    branches: tuple[tuple[StepReport, ...], ...] = ()
    """Of steps that were done together."""


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run."""

    name: str
    file: str
    site: str
    verdict: Verdict
    seconds: float
    steps: tuple[StepReport, ...]
    message: str = ""
    """Why it failed, where no step did: it could not be begun, or something was left."""

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that went wrong, with the place where it is written."""
        steps = (
            f"{self.file}:{step.line}: {step.name}: {step.message}"
            for step in flat(self.steps)
            if step.verdict == "failed" and step.message
        )
        return (*steps, *((f"{self.file}: {self.message}",) if self.message else ()))


def flat(steps: Sequence[StepReport]) -> Iterator[StepReport]:
    """Return all steps, those of branches behind the one that has them."""
    for step in steps:
        yield step
        for branch in step.branches:
            yield from flat(branch)


def skipped(step: Step) -> StepReport:
    """Return what became of a step that was not come to."""
    branches: tuple[tuple[StepReport, ...], ...] = ()
    if isinstance(step.do, Together):
        branches = tuple(tuple(map(skipped, branch)) for branch in step.do.branches)
    return StepReport(
        name=step.shown, verb=step.verb, line=step.line, verdict="skipped", branches=branches
    )


def as_json(report: RunReport) -> str:
    """Return it on one line."""
    return msgspec.json.encode(report).decode()


def show_end(report: RunReport, console: Console) -> None:
    """Print what is left to say when the steps that were done have been shown, for people."""
    for step in report.steps:
        if step.verdict == "skipped":
            show_step(step, console)
    if report.message:
        console.print(f"  [red]{escape(report.message)}[/]")
    console.print(f"{_SIGNS[report.verdict]} {escape(report.name)} [dim]{report.seconds:.1f} s[/]")


def show_step(step: StepReport, console: Console, indent: int = 2) -> None:
    """Print one step, and those that were done together in it."""
    space = " " * indent
    note = _note(step.measured)
    took = f" [dim]{step.seconds * 1000:.0f} ms{escape(note)}[/]" if step.seconds else ""
    console.print(f"{space}{_SIGNS[step.verdict]} {escape(step.name)}{took}")
    if step.message:
        console.print(f"{space}  [red]line {step.line}: {escape(step.message)}[/]")
    for branch in step.branches:
        for one in branch:
            show_step(one, console, indent + 2)


def _note(measured: dict[str, Any]) -> str:
    after = measured.get("heard_after_ms", {})
    heard = [
        f"{who} hears {voice} after {ms:.0f} ms"
        for who, v in after.items()
        for voice, ms in v.items()
    ]
    rest = [f"{name} {value}" for name, value in measured.items() if isinstance(value, str)]
    return "".join(f", {text}" for text in (*heard, *rest))


def as_junit(reports: Sequence[RunReport]) -> str:
    """Return them as JUnit's XML: a suite for each run, a case for each step.

    What no step failed with is a case, too: who reads this counts cases alone.
    """
    root = ET.Element("testsuites", name="callbridge")
    for report in reports:
        cases = [step for step in flat(report.steps) if not step.branches]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=report.name,
            file=report.file,
            time=f"{report.seconds:.3f}",
            tests=str(len(cases) + bool(report.message)),
            failures=str(sum(case.verdict == "failed" for case in cases)),
            errors="1" if report.message else "0",
            skipped=str(sum(case.verdict == "skipped" for case in cases)),
        )
        for case in cases:
            _case(suite, report, case)
        if report.message:
            whole = ET.SubElement(
                suite, "testcase", classname=report.name, name="the run as a whole", time="0.000"
            )
            _say(ET.SubElement(whole, "error"), report.message)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, report: RunReport, case: StepReport) -> None:
    entry = ET.SubElement(
        suite,
        "testcase",
        classname=report.name,
        name=f"line {case.line}: {case.name}",
        time=f"{case.seconds:.3f}",
    )
    if case.verdict == "failed":
        _say(ET.SubElement(entry, "failure"), case.message)
    elif case.verdict == "skipped":
        ET.SubElement(entry, "skipped")


def _say(entry: ET.Element, message: str) -> None:
    """Put a message where some readers look for it, and where others do."""
    text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", message)
    entry.set("message", text)
    entry.text = text


def verdict_of(run: Run, steps: Sequence[StepReport], message: str) -> Verdict:
    """Return whether all went as it had to."""
    passed = len(steps) == len(run.steps) and all(step.verdict == "passed" for step in steps)
    return "passed" if passed and not message else "failed"
