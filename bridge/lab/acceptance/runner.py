"""Carries a run out, step by step."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

from bridge.lab.acceptance import acting, commanding, expecting, listening
from bridge.lab.acceptance.doing import Doing, function_of, is_expectation
from bridge.lab.acceptance.model import Run, Step, Verdict
from bridge.lab.acceptance.report import RunReport, StepReport, skipped, verdict_of
from bridge.lab.acceptance.site import Site
from bridge.lab.acceptance.stage import Stage
from bridge.lab.acceptance.steps import Pause, Together
from bridge.lab.standing import left_since, standing
from bridge.model.errors import CallbridgeError

MODULES: Final = (acting, commanding, expecting, listening)
"""They say how each step is done."""

Tell: TypeAlias = Callable[[StepReport], None]
"""Told of every step as it is over."""


async def perform(
    run: Run, site: Site, *, keep: Path | None = None, tell: Tell = lambda _report: None
) -> RunReport:
    """Carry a run out and return what became of it; nothing of it is left.

    The first step that fails is the last one that is done. keep: a folder for what the phones
    heard and what was recorded. Raises OSError when that cannot be made, before anything is done.
    """
    if keep is not None:
        await asyncio.to_thread(keep.mkdir, parents=True, exist_ok=True)
    began = time.monotonic()
    steps: list[StepReport] = []
    message = ""
    with tempfile.TemporaryDirectory(prefix="callbridge-run-") as folder:
        try:
            async with asyncio.timeout(float(run.timeout)):
                message = await _on_site(run, site, Path(folder), steps, tell)
        except* TimeoutError:
            message = f"the run was not over within {run.timeout}"
        except* CallbridgeError as errors:
            message = "; ".join(_messages(errors))
        if keep is not None:
            await asyncio.to_thread(shutil.copytree, folder, keep, dirs_exist_ok=True)
    done = tuple(steps)
    rest = tuple(map(skipped, run.steps[len(done) :]))
    return RunReport(
        name=run.name,
        file=str(run.path or run.name),
        site=site.name,
        verdict=verdict_of(run, done, message),
        seconds=round(time.monotonic() - began, 3),
        steps=(*done, *rest),
        message=message,
    )


async def _on_site(run: Run, site: Site, folder: Path, steps: list[StepReport], tell: Tell) -> str:
    """Do the steps; return what was left of them in Asterisk, in words."""
    strict = site.empty_afterwards if run.leaves_nothing is None else run.leaves_nothing
    look = site.look() if strict else None
    if look is None:
        await _staged(run, site, folder, steps, tell)
        return ""
    await look.open()
    try:
        before = await standing(look)
        await _staged(run, site, folder, steps, tell)
        left = await left_since(look, before)
    finally:
        await look.close()
    return f"left in Asterisk: {', '.join(sorted(left))}" if left else ""


async def _staged(run: Run, site: Site, folder: Path, steps: list[StepReport], tell: Tell) -> None:
    async with AsyncExitStack() as stack:
        stage = Stage(run, site, folder, stack)
        await stage.open()
        for step in run.steps:
            began = time.monotonic()
            try:
                report = await _do(stage, step)
            except asyncio.CancelledError:
                # The time of the run is over: here it was.
                message = "it was not over when the run had to be"
                steps.append(_report(step, began, "failed", message=message))
                tell(steps[-1])
                raise
            steps.append(report)
            tell(report)
            if report.verdict == "failed":
                return


async def _do(stage: Stage, step: Step) -> StepReport:
    began = time.monotonic()
    if isinstance(step.do, Together):
        branches = await _together(stage, step.do)
        failed = any(one.verdict == "failed" for branch in branches for one in branch)
        return _report(step, began, "failed" if failed else "passed", branches=branches)
    doing = Doing(stage, step)
    message = ""
    try:
        await function_of(step.do)(doing, step.do)
    except CallbridgeError as error:
        message = error.error_message or str(error.error_code)
    except TimeoutError:
        message = f"it was not over within {doing.within:g} s"
    if not is_expectation(step.do):
        if not isinstance(step.do, Pause):
            stage.began_at = began
            stage.acted += 1
        stage.acted_at = time.monotonic()
    verdict: Verdict = "failed" if message else "passed"
    return _report(step, began, verdict, message=message, measured=doing.measured)


async def _together(stage: Stage, action: Together) -> tuple[tuple[StepReport, ...], ...]:
    """Do branches at once; each goes on to its end or its first failure."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_branch(stage, branch)) for branch in action.branches]
    return tuple(task.result() for task in running)


async def _branch(stage: Stage, steps: tuple[Step, ...]) -> tuple[StepReport, ...]:
    done: list[StepReport] = []
    for step in steps:
        report = await _do(stage, step)
        done.append(report)
        if report.verdict == "failed":
            break
    return (*done, *map(skipped, steps[len(done) :]))


def _report(
    step: Step,
    began: float,
    verdict: Verdict,
    *,
    message: str = "",
    measured: dict[str, Any] | None = None,
    branches: tuple[tuple[StepReport, ...], ...] = (),
) -> StepReport:
    return StepReport(
        name=step.shown,
        verb=step.verb,
        line=step.line,
        verdict=verdict,
        seconds=round(time.monotonic() - began, 3),
        message=message,
        measured=measured or {},
        branches=branches,
    )


def _messages(errors: BaseExceptionGroup[CallbridgeError]) -> list[str]:
    found: list[str] = []
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _messages(error)
        else:
            found.append(error.error_message)
    return found
