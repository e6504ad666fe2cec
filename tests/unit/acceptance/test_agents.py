"""What agents of a run do in its time, and that none of them is left; on calls that are fakes."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import soundfile

from bridge.lab.acceptance import parse, perform
from bridge.lab.acceptance.doing import Doing, function_of
from bridge.lab.acceptance.ears import Mouth, read_sound
from bridge.lab.acceptance.expecting import state_of
from bridge.lab.acceptance.runner import MODULES
from bridge.lab.acceptance.stage import Actor, Stage, StepFailedError
from bridge.lab.demo import DemoSettings, run_demo
from bridge.lab.fake_ari import run_hurried
from bridge.lab.hearing import Pcm, tone
from bridge.lab.phones import CallInfo, CallState, Direction, Phone
from bridge.lab.waiting import until
from bridge.model.errors import MediaError
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


async def test_where_nothing_can_be_kept_nothing_is_done(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    run = parse("name: x\nphones: {}\nsteps: [{pause: 1s}]\n")
    with pytest.raises(FileExistsError):
        await perform(run, cast("Any", None), keep=file)
    with pytest.raises(FileExistsError):
        await run_demo(cast("Any", None), DemoSettings(keep=file), print)


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


class Dying:
    """A call whose last word takes a while."""

    begun = False

    async def send_audio(self, _pcm: bytes) -> None:
        self.begun = True
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)


async def test_who_waits_for_a_voice_to_end_can_be_cancelled() -> None:
    call = Dying()
    mouth = Mouth(cast("ActiveCall", call), np.ones(320, np.int16))
    await until(lambda: call.begun, "it speaks")
    closing = asyncio.create_task(mouth.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await mouth.aclose()


async def test_a_file_without_sound_is_told_and_an_agent_may_say_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.int16), 8000)
    with pytest.raises(MediaError, match="there is no sound in it"):
        await read_sound(tmp_path / "empty.wav")
    run = parse("name: x\nphones: {}\nsteps: [{pause: 1s}]\n")
    async with AsyncExitStack() as stack:
        stage = Stage(run, cast("Any", None), tmp_path, stack)
        assert await stage.said("ai", "nothing") is None
        assert await stage.said("ai", "silence") is None


@pytest.mark.parametrize(
    ("direction", "state", "shown"),
    [
        (Direction.OUT, CallState.CALLING, "calling"),
        (Direction.OUT, CallState.EARLY, "calling"),
        (Direction.IN, CallState.INCOMING, "ringing"),
        (Direction.IN, CallState.EARLY, "ringing"),
        (Direction.IN, CallState.CONFIRMED, "talking"),
        (Direction.OUT, CallState.DISCONNECTED, "ended"),
    ],
)
def test_a_phone_that_calls_does_not_ring(
    direction: Direction, state: CallState, shown: str
) -> None:
    call = CallInfo(call_id=1, direction=direction, remote="", state=state, reached=(state,))
    assert state_of(cast("Phone", SimpleNamespace(calls=[call]))) == shown
    assert state_of(cast("Phone", SimpleNamespace(calls=[]))) == "idle"


class Rang:
    """An ear that heard ringback until its phone talked, and nothing since."""

    rate = 16000

    def __init__(self, until_s: float) -> None:
        self._until_s = until_s

    async def hear(self, begin: float, end: float) -> Pcm:
        seconds = min(end, self._until_s) - begin
        silence = np.zeros(round(max(0.0, end - max(begin, self._until_s)) * self.rate), np.int16)
        return np.concatenate([tone(440.0, -15.0, max(0.0, seconds), self.rate), silence])


async def test_ringback_is_not_what_is_heard_after_the_answer(tmp_path: Path) -> None:
    assert MODULES
    run = parse(
        "name: x\nphones: {anna: 1001}\nsteps:\n"
        "  - expect: {phone: anna, state: talking}\n"
        "  - sound: anna\n    lasts: 100ms\n    within: 0ms\n"
    )
    expect, sound = run.steps
    call = SimpleNamespace(state=CallState.CONFIRMED, direction=Direction.OUT, call_id=1)
    async with AsyncExitStack() as stack:
        stage = Stage(run, cast("Any", None), tmp_path, stack)
        stage.acted_at -= 5.0
        stage.phones["anna"] = cast("Phone", SimpleNamespace(calls=[call]))
        stage._ears["anna"] = Rang(time.monotonic())
        await function_of(expect.do)(Doing(stage, expect), expect.do)
        since = stage.heard_from("anna")
        with pytest.raises(StepFailedError, match=r"heard anything for 0\.00 s"):
            await function_of(sound.do)(Doing(stage, sound), sound.do)
        await function_of(expect.do)(Doing(stage, expect), expect.do)
        assert stage.heard_from("anna") == since, "he talks since then"


async def test_a_caller_who_has_given_up_is_not_the_one_who_calls_again(tmp_path: Path) -> None:
    run = parse("name: x\nphones: {anna: 1001}\nsteps: [{answer: anna}]\n")
    gone, there = (
        SimpleNamespace(caller_number="1001", parties=(), end_reason=reason)
        for reason in ("caller_hung_up", None)
    )
    async with AsyncExitStack() as stack:
        stage = Stage(run, cast("Any", None), tmp_path, stack)
        stage._incoming.extend(cast("Any", [gone, there]))
        assert await stage.incoming("anna", 1.0) is cast("Any", there)
        assert not stage._incoming


async def test_who_is_muted_stays_so_whatever_he_says(tmp_path: Path) -> None:
    assert MODULES
    run = parse("""\
name: x
phones: {anna: 1001}
steps:
  - mute: anna
  - says: {who: anna, what: silence}
  - unmute: anna
  - says: {who: anna, what: nothing}
  - says: {who: anna}
""")
    muted: list[bool] = []

    async def mute(*, on: bool) -> None:
        muted.append(on)

    async def play(_source: object) -> None:
        """Say it."""

    async with AsyncExitStack() as stack:
        stage = Stage(run, cast("Any", None), tmp_path, stack)
        stage.phones["anna"] = cast("Phone", SimpleNamespace(mute=mute, play=play))
        for step in run.steps:
            await function_of(step.do)(Doing(stage, step), step.do)
    assert muted == [True, True, False, True, False]
