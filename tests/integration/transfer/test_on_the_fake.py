"""Transfers on the fake server: moments that a real one passes too quickly to be met."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from bridge.lab.fake_ari import Answer, FakeAri, FakeChannel
from bridge.lab.waiting import until
from bridge.model.errors import CommandInProgressError
from bridge.model.participants import CALLER
from bridge.runtime.names import key_of
from bridge.sdk import ActiveCall, events
from bridge.sdk.transfer import Transfer
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome
from tests.integration.observers.theatre import client_of

BRIEF = bytes(16000)


@dataclass
class Scene:
    """A caller with the AI."""

    fake: FakeAri
    caller: FakeChannel
    call: ActiveCall

    def channel(self, name: str) -> FakeChannel:
        """Return somebody's channel."""
        return next(c for c in self.channels(name))

    def channels(self, name: str) -> list[FakeChannel]:
        """Return somebody's channel, if there is one."""
        channels = self.fake.world.channels.values()
        return [c for c in channels if key_of(c.id) == f"leg.{name}" and not c.going]

    async def offered(self, name: str = "human") -> None:
        """Wait until a human is asked."""
        engine = self.call._controller.transfers.of(self.call._engine.incoming.call_id)
        assert engine is not None
        await until(lambda: name in engine.offered, f"{name} is asked")

    def press(self, name: str, key: str) -> None:
        """Let somebody press a key."""
        self.fake.channel_presses(self.channel(name).id, key)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with FakeAri() as fake:
        client, calls = await client_of(fake)
        async with client:
            caller = fake.incoming_call()
            call = await calls.get()
            await call.answer()
            scene = Scene(fake, caller, call)
            yield scene
            fake.channel_hangs_up(caller.id)
            await until(lambda: not fake.remains(), "nothing is left")


async def test_who_looks_while_it_begins_is_told_nothing_twice(scene: Scene) -> None:
    told: list[str] = []
    scene.call.on(events.TRANSFER_STARTED, lambda: told.append("started"))
    scene.fake.failures.delay("POST", "bridges/.*bridge.hold.*", 0.2)
    beginning = asyncio.create_task(scene.call.transfer("1003"))
    await until(lambda: scene.call.transfer_in_progress is not None, "it begins")
    there = scene.call.transfer_in_progress
    transfer = await beginning
    assert there is transfer
    await transfer.cancel()
    assert told == ["started"]


async def test_a_fallback_transfers_on_at_once(scene: Scene) -> None:
    begun: asyncio.Queue[Transfer] = asyncio.Queue()

    async def fall_back(call: ActiveCall, _transfer: Transfer) -> None:
        begun.put_nowait(await call.transfer("1004", brief=BRIEF))

    scene.fake.failures.delay("DELETE", "channels/.*prompter.*", 0.2)
    first = await scene.call.transfer("1003", brief=BRIEF, fallback=fall_back)
    await scene.offered()
    scene.press("human", "2")
    assert await first.wait() is Outcome.FAILED
    async with asyncio.timeout(5):
        second = await begun.get()
    await scene.offered()
    scene.press("human", "1")
    assert await second.wait() is Outcome.COMPLETED


async def test_who_waits_is_brought_to_no_consult(scene: Scene) -> None:
    transfer = await scene.call.transfer("1003", consult=True, accept="answer")
    await transfer.wait_accepted()
    with pytest.raises(CommandInProgressError):
        await scene.call.unhold(CALLER)
    assert transfer.stage is Stage.CONSULTING
    room = scene.fake.world.bridges[scene.caller.bridge or ""]
    assert room.music
    await transfer.cancel()
    # He is nobody's any more.
    await scene.call.hold(CALLER)
    await scene.call.unhold(CALLER)


async def test_a_connect_under_way_is_waited_for(scene: Scene) -> None:
    scene.fake.world.phones["1002"].answer = Answer.RING
    connecting = asyncio.create_task(scene.call.connect())
    await until(
        lambda: [c.state for c in scene.channels("callee")] == ["Ringing"], "the callee rings"
    )
    with pytest.raises(CommandInProgressError):
        await scene.call.transfer("1003")
    scene.fake.channel_answers(scene.channel("callee").id)
    await connecting
