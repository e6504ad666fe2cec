"""Which events a phone's doing makes: phones of the fake against real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from bridge.ari import AriConnection, events
from bridge.ari.generated.events import Message
from bridge.lab.fake_ari import Answer
from bridge.lab.waiting import until
from tests.contract.sites import APPLICATION, Site
from tests.contract.stories import story, untangled
from tests.support.ids import new_id
from tests.support.pbx import until_true


@dataclass
class Scene:
    site: Site
    connection: AriConnection
    events: list[Message]

    def story(self) -> list[str]:
        """Tell what happened, in words: type of event, state or status, cause."""
        return story(self.events)

    async def ended(self) -> None:
        await until(lambda: any(isinstance(e, events.StasisEnd) for e in self.events), "StasisEnd")
        # A channel that is listed no more has had its last event, and the answer comes behind it.
        await until_true(self._empty, "no channel is left")
        if any(line.startswith("Dial") for line in self.story()):
            await until(lambda: "Destroyed" in self.story()[-1], "ChannelDestroyed")

    async def _empty(self) -> bool:
        return not await self.connection.channels.list()


@pytest.fixture
async def scene(site: Site) -> AsyncIterator[Scene]:
    reported: list[Message] = []
    connection = AriConnection(site.settings, on_event=reported.append)
    await connection.open()
    yield Scene(site, connection, reported)
    assert await connection.channels.list() == ()
    await connection.close()


async def dialled(scene: Scene, answer: Answer, timeout_s: int = 5) -> str:
    """Call 1002, which does this."""
    await scene.site.set_up(answer)
    identity = new_id("out")
    await scene.connection.channels.create(
        endpoint="PJSIP/1002", app=APPLICATION, channel_id=identity
    )
    await until(lambda: "StasisStart" in scene.story(), "StasisStart")
    await scene.connection.channels.dial(channel_id=identity, timeout=timeout_s)
    return identity


CREATED = ["ChannelDialplan Stasis", "STASISSTATUS", "StasisStart", "Dial"]


async def test_the_callee_answers_and_hangs_up(scene: Scene) -> None:
    await dialled(scene, Answer.ANSWER)
    await until(lambda: "Dial ANSWER" in scene.story(), "the answer")
    await scene.site.hangs_up("1002")
    await scene.ended()
    answered = ["Ringing", "Dial RINGING", "Up", "Dial ANSWER"]
    end = ["HangupRequest None None", "StasisEnd", "STASISSTATUS SUCCESS", "Destroyed 16"]
    assert untangled(scene.story()) == untangled(CREATED + answered + end)


@pytest.mark.parametrize(("answer", "cause"), [(Answer.BUSY, 17), (Answer.DECLINE, 21)])
async def test_the_callee_refuses(scene: Scene, answer: Answer, cause: int) -> None:
    await dialled(scene, answer)
    await scene.ended()
    # No Dial event tells of it: the cause is in the channel's end.
    end = [f"HangupRequest {cause} None", "StasisEnd", "STASISSTATUS SUCCESS"]
    assert untangled(scene.story()) == untangled([*CREATED, *end, f"Destroyed {cause}"])


async def test_nobody_answers_in_time(scene: Scene) -> None:
    await dialled(scene, Answer.RING, timeout_s=1)
    await scene.ended()
    end = ["HangupRequest 32 True", "StasisEnd", "STASISSTATUS SUCCESS", "Destroyed 19"]
    assert untangled(scene.story()) == untangled([*CREATED, "Ringing", "Dial RINGING", *end])


async def test_a_caller_who_is_answered_and_hangs_up(scene: Scene) -> None:
    await scene.site.call("1002")
    await until(scene.story, "the call")
    (identity,) = scene.events[0].channel_ids()
    assert untangled(scene.story()) == untangled(["StasisStart incoming 1002"])
    await scene.connection.channels.answer(channel_id=identity)
    await until(lambda: "Up" in scene.story(), "the answer")
    await scene.site.hangs_up("1001")
    await scene.ended()
    # A caller's channel is not ours: after Stasis nothing is told of it.
    expected = ["StasisStart incoming 1002", "Up", "HangupRequest None None", "StasisEnd"]
    assert untangled(scene.story()) == untangled(expected)


async def test_a_caller_whom_we_hang_up(scene: Scene) -> None:
    await scene.site.call("1002")
    await until(scene.story, "the call")
    (identity,) = scene.events[0].channel_ids()
    await scene.connection.channels.hangup(channel_id=identity)
    await scene.ended()
    assert untangled(scene.story()) == untangled(
        ["StasisStart incoming 1002", "HangupRequest 32 True", "StasisEnd"]
    )
