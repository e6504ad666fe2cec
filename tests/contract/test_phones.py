"""Which events a phone's doing makes: phones of the fake against real ones."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from bridge.ari import AriConnection, AriSettings, events, new_id
from bridge.ari.generated.events import Message
from bridge.lab.asterisk import Instance
from bridge.lab.fake_ari import Answer, FakeAri
from bridge.lab.phones import Behaviour, Phone, PhoneSettings, start_phone
from bridge.lab.waiting import until
from tests.contract.stories import story, untangled

APPLICATION = "callbridge"
"""Where the dialplan of the embedded Asterisk sends the phones' calls."""
REAL = {
    Answer.ANSWER: Behaviour.ANSWER,
    Answer.RING: Behaviour.RING,
    Answer.BUSY: Behaviour.BUSY,
    Answer.DECLINE: Behaviour.DECLINE,
}


class Site(Protocol):
    """A server and its phones 1001 and 1002."""

    settings: AriSettings

    async def set_up(self, answer: Answer) -> None:
        """Let 1002 sign in, and do this when it is called."""

    async def callee_hangs_up(self, channel_id: str) -> None:
        """Let 1002 hang up."""

    async def call(self) -> None:
        """Let 1001 dial 1002, which reaches the application."""

    async def caller_hangs_up(self, channel_id: str) -> None:
        """Let 1001 hang up."""


class FakeSite:
    def __init__(self, fake: FakeAri) -> None:
        self._fake = fake
        self.settings = AriSettings(fake.url, fake.username, fake.password, APPLICATION)

    async def set_up(self, answer: Answer) -> None:
        self._fake.world.phones["1002"].answer = answer

    async def callee_hangs_up(self, channel_id: str) -> None:
        self._fake.channel_hangs_up(channel_id)

    async def call(self) -> None:
        self._fake.incoming_call(caller="1001", number="1002")

    async def caller_hangs_up(self, channel_id: str) -> None:
        self._fake.channel_hangs_up(channel_id)


class RealSite:
    def __init__(self, instance: Instance) -> None:
        self._info = instance.info
        ari = instance.info.ari
        self.settings = AriSettings(ari.url, ari.username, ari.password, APPLICATION)
        self.phones: dict[str, Phone] = {}

    async def _start(self, number: str, answer: Behaviour) -> Phone:
        password = next(a.password for a in self._info.accounts if a.number == number)
        sip = self._info.sip
        self.phones[number] = await start_phone(
            PhoneSettings(
                number=number, password=password, host=sip.host, port=sip.port, answer=answer
            )
        )
        return self.phones[number]

    async def set_up(self, answer: Answer) -> None:
        await self._start("1002", REAL[answer])

    async def callee_hangs_up(self, channel_id: str) -> None:  # noqa: ARG002 - it has one call
        await self.phones["1002"].hangup()

    async def call(self) -> None:
        phone = await self._start("1001", Behaviour.ANSWER)
        await phone.call("1002")

    async def caller_hangs_up(self, channel_id: str) -> None:  # noqa: ARG002 - it has one call
        await self.phones["1001"].hangup()


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
        async with asyncio.timeout(5):
            while await self.connection.channels.list():
                pass
        if any(line.startswith("Dial") for line in self.story()):
            await until(lambda: "Destroyed" in self.story()[-1], "ChannelDestroyed")


@pytest.fixture(params=["fake", pytest.param("real", marks=[pytest.mark.phones])])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    if request.param == "fake":
        async with FakeAri() as fake:
            yield FakeSite(fake)
    else:
        if importlib.util.find_spec("pjsua2") is None:
            pytest.skip("pjsua2 has no wheel for this Python")
        real = RealSite(request.getfixturevalue("asterisk"))
        yield real
        await asyncio.gather(*(phone.stop() for phone in real.phones.values()))


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
    identity = await dialled(scene, Answer.ANSWER)
    await until(lambda: "Dial ANSWER" in scene.story(), "the answer")
    await scene.site.callee_hangs_up(identity)
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
    await scene.site.call()
    await until(scene.story, "the call")
    (identity,) = scene.events[0].channel_ids()
    assert untangled(scene.story()) == untangled(["StasisStart incoming 1002"])
    await scene.connection.channels.answer(channel_id=identity)
    await until(lambda: "Up" in scene.story(), "the answer")
    await scene.site.caller_hangs_up(identity)
    await scene.ended()
    # A caller's channel is not ours: after Stasis nothing is told of it.
    expected = ["StasisStart incoming 1002", "Up", "HangupRequest None None", "StasisEnd"]
    assert untangled(scene.story()) == untangled(expected)


async def test_a_caller_whom_we_hang_up(scene: Scene) -> None:
    await scene.site.call()
    await until(scene.story, "the call")
    (identity,) = scene.events[0].channel_ids()
    await scene.connection.channels.hangup(channel_id=identity)
    await scene.ended()
    assert untangled(scene.story()) == untangled(
        ["StasisStart incoming 1002", "HangupRequest 32 True", "StasisEnd"]
    )
