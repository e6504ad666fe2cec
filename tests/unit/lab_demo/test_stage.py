"""What fails on a stage is told as it is, at once, and leaves nothing under way."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bridge.lab.demo.agent import ToneAgent
from bridge.lab.demo.desk import Desk
from bridge.lab.demo.stage import Stage
from bridge.lab.demo.story import STEPS, Step
from bridge.lab.fake_ari import run_hurried
from bridge.lab.ringing import rung_channel
from bridge.lab.together import together
from bridge.lab.waiting import until
from bridge.model.errors import InvalidStateError, LabError, MediaError


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fails(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


async def test_when_one_fails_the_others_are_cancelled_and_it_is_raised_itself() -> None:
    error = MediaError("no audio")
    other = asyncio.create_task(for_ever())

    async def beside() -> None:
        await other

    with pytest.raises(MediaError) as caught:
        await together(fails(error), beside())
    assert caught.value is error
    assert other.cancelled()


async def test_what_came_of_each_is_returned_in_order() -> None:
    assert await together(asyncio.sleep(0.01, "late"), asyncio.sleep(0, 2)) == ("late", 2)
    assert await together() == ()


async def test_a_step_that_fails_is_not_hidden_by_who_waits_beside_it() -> None:
    waiting = asyncio.Event()

    async def picks_up(_step: Step) -> None:
        waiting.set()
        await for_ever()

    async def connect(_call: object) -> None:
        await waiting.wait()
        raise InvalidStateError("the caller is gone")

    stage = Stage(cast("Any", None), cast("Any", None), meanwhile=picks_up)
    step = Step("connected", "barge", connect, STEPS[1].parties, STEPS[1].heard_by)
    with pytest.raises(InvalidStateError, match="the caller is gone"):
        await asyncio.wait_for(stage.perform(step), 5)


def test_who_does_not_come_is_named() -> None:
    async def listed() -> list[object]:
        return []

    with pytest.raises(LabError, match="no call of 1001 came to the program within 5 s"):
        run_hurried(Desk().next_call("1001"))
    look = cast("Any", SimpleNamespace(channels=SimpleNamespace(list=listed)))
    with pytest.raises(LabError, match="was not rung within 10 s"):
        run_hurried(rung_channel(look, lambda _name: True))


class Broken:
    """A call that takes no audio and has none."""

    said = 0

    async def send_audio(self, _pcm: bytes) -> None:
        self.said += 1
        raise MediaError("the socket is gone")

    async def audio_stream(self, *, max_seconds: float) -> Any:
        await asyncio.sleep(max_seconds)
        yield b""


async def test_what_ended_an_agents_voice_is_not_swallowed() -> None:
    call = Broken()
    agent = ToneAgent(cast("Any", call), hz=1559.0, dbfs=-15.0, rate=16000)
    await until(lambda: call.said, "it has spoken")
    with pytest.raises(MediaError, match="the socket is gone"):
        await agent.aclose()
