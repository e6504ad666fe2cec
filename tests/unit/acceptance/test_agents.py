"""What agents of a run do in its time, and that none of them is left; on calls that are fakes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bridge.lab.acceptance import parse
from bridge.lab.acceptance.doing import Doing, function_of
from bridge.lab.acceptance.runner import MODULES
from bridge.lab.acceptance.stage import Actor, Stage, StepFailedError
from bridge.lab.fake_ari import run_hurried
from bridge.sdk import ActiveCall

RUN = """\
name: x
phones: {{anna: 1001}}
steps:
  - answer: anna
  - {step}
    within: {within}
"""


class Stuck:
    """A call of which no command is ever in effect."""

    def __getattr__(self, name: str) -> Any:
        async def never(*_: object, **__: object) -> None:
            await asyncio.Event().wait()

        return never


class Noting:
    """A call that knows that it was let go."""

    released = 0

    async def disconnect(self, *, cut: bool) -> None:
        assert cut
        self.released += 1


def actor_on(call: object) -> Actor:
    return Actor("ai", cast("ActiveCall", call))


async def seconds_of(step: str, within: str) -> float:
    """Let an agent do a step on a call that is stuck; return after how long it has failed."""
    assert MODULES
    written = parse(RUN.format(step=step, within=within)).steps[-1]
    actor = actor_on(Stuck())
    stage = SimpleNamespace(phones={}, number=str, actor=lambda _name: actor)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(StepFailedError, match="it was not in effect within"):
        await function_of(written.do)(Doing(cast("Stage", stage), written), written.do)
    return loop.time() - began


@pytest.mark.parametrize(
    ("step", "within", "seconds"),
    [
        ("hold: ai", "300ms", 0.3),
        ("unhold: ai", "300ms", 0.3),
        ("mute: ai", "300ms", 0.3),
        ("unmute: ai", "300ms", 0.3),
        ("hang_up: ai", "300ms", 0.3),
        ("transfer: {by: ai, to: 1003}", "300ms", 0.3),
        ("connect: {to: 1002, ring_time: 20s}", "300ms", 22.0),
        ("connect: {to: 1002, ring_time: 5s}", "30s", 30.0),
    ],
)
def test_what_an_agent_does_is_given_its_time(step: str, within: str, seconds: float) -> None:
    assert run_hurried(seconds_of(step, within)) == pytest.approx(seconds, abs=0.1)


async def test_an_agent_whose_name_another_has_now_is_let_go_too(tmp_path: Path) -> None:
    run = parse("name: x\nphones: {}\nsteps: [{pause: 1s}]\n")
    calls = [Noting(), Noting()]
    async with AsyncExitStack() as stack:
        stage = Stage(run, cast("Any", None), tmp_path, stack)
        await stage.open()
        for call in calls:
            await stage.enter(actor_on(call))
        assert stage.actor("ai").hand is cast("Any", calls[1])
        assert [call.released for call in calls] == [0, 0], "not before the end of the run"
    assert [call.released for call in calls] == [1, 1]
