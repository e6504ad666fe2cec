"""Transfers on the fake server: moments that a real one passes too quickly to be met."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from bridge.lab.fake_ari import Answer, FakeAri, FakeChannel
from bridge.lab.waiting import until
from bridge.model.errors import CallerGoneError, CommandInProgressError
from bridge.model.participants import AGENT, CALLER
from bridge.runtime.names import key_of
from bridge.runtime.offer import Terms
from bridge.runtime.pending import NOBODY
from bridge.sdk import ActiveCall, Client, events
from bridge.sdk.transfer import Transfer
from bridge.session.state import Standing
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome
from bridge.session.transfer.inputs import Begin, Plan, Target
from tests.integration.observers.theatre import client_of, heard

BRIEF = bytes(16000)


@dataclass
class Scene:
    """A caller with the AI."""

    fake: FakeAri
    client: Client
    caller: FakeChannel
    call: ActiveCall

    def name(self, channel: FakeChannel) -> str | None:
        """Return whose channel it is."""
        if channel is self.caller:
            return CALLER
        key = key_of(channel.id) or ""
        return key.removeprefix("leg.") if key.startswith("leg.") else None

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
            scene = Scene(fake, client, caller, call)
            yield scene
            if not caller.going:
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


async def test_a_caller_who_hangs_up_as_it_begins_is_no_failure(scene: Scene) -> None:
    scene.fake.failures.delay("POST", "bridges/.*bridge.hold.*", 0.5)
    told: list[str] = []
    for event in (events.TRANSFER_NOT_ACCEPTED, events.TRANSFER_ENDED):
        scene.call.on(event, lambda _call, transfer: told.append(str(transfer.outcome)))
    beginning = asyncio.create_task(scene.call.transfer("1003"))
    await until(lambda: scene.call.transfer_in_progress is not None, "it begins")
    scene.fake.channel_hangs_up(scene.caller.id)
    with pytest.raises(CallerGoneError):
        await beginning
    await scene.call.wait_ended()
    assert told == [Outcome.CALLER_HUNG_UP]


async def test_a_caller_who_hangs_up_is_not_told_as_a_human_who_does(scene: Scene) -> None:
    scene.fake.world.phones["1003"].answer = Answer.RING
    told: list[str] = []
    scene.call.on(events.TRANSFER_NOT_ACCEPTED, lambda: told.append("not accepted"))
    scene.call.on(events.TRANSFER_RINGING, lambda: told.append("rings"))
    transfer = await scene.call.transfer(["1003", "1004"])
    scene.fake.channel_hangs_up(scene.caller.id)
    assert await transfer.wait() is Outcome.CALLER_HUNG_UP
    assert told == ["rings"]


async def test_it_is_given_up_at_the_moment_at_which_it_begins(scene: Scene) -> None:
    controller, call = scene.call._controller, scene.call._engine
    engine = controller.transfers.new(call, Terms())
    plan = Plan(rounds=((Target("PJSIP/1003", 20),),))
    alone = frozenset({CALLER})
    engine.post(Begin(NOBODY, AGENT, alone, plan, parties=alone))
    engine.give_up()
    async with asyncio.timeout(5):
        await engine.ended.wait()
    assert engine.state.outcome is Outcome.CANCELLED
    assert call.session.standing == Standing()


async def test_who_takes_over_from_the_ai_keeps_the_caller(scene: Scene) -> None:
    scene.fake.world.phones["1003"].answer = Answer.RING
    boss = await scene.client.observe(scene.call.call_id, "boss")
    transfer = await scene.call.transfer("1003")
    await until(lambda: [c.state for c in scene.channels("human")] == ["Ringing"], "it rings")
    await boss.take_over("ai", keep=False)
    scene.fake.channel_refuses(scene.channel("human").id)
    assert await transfer.wait() is Outcome.FAILED
    await until(lambda: (CALLER, "boss") in heard(scene.fake, scene), "the caller hears him")
    assert not scene.caller.going


async def test_who_transfers_hears_every_attempt_ring(scene: Scene) -> None:
    await scene.call.connect()
    callee = scene.channel("callee")
    for number in ("1003", "1004"):
        scene.fake.world.phones[number].answer = Answer.RING

    def rings() -> bool:
        room = scene.fake.world.bridges[callee.bridge or ""]
        return room.playback is not None and room.playback.state == "playing"

    transfer = await scene.call.transfer(["1003", "1004"], brief=BRIEF, accept="key")
    await until(lambda: scene.channels("human") and rings(), "the first rings")
    scene.fake.channel_answers(scene.channel("human").id)
    await scene.offered("human")
    assert rings()
    scene.press("human", "2")
    await until(lambda: bool(scene.channels("human2")), "the second is rung")
    assert rings()
    scene.fake.channel_answers(scene.channel("human2").id)
    await scene.offered("human2")
    scene.press("human2", "1")
    await transfer.wait_accepted()
    assert not rings()
    await transfer.complete()


async def test_of_two_who_accept_at_once_one_has_it(scene: Scene) -> None:
    transfer = await scene.call.transfer(
        ["1003", "1004"], together=True, consult=True, accept="key"
    )
    await scene.offered("human")
    await scene.offered("human2")
    scene.press("human", "1")
    scene.press("human2", "1")
    assert await transfer.wait_accepted() == "human"
    await until(lambda: not scene.channels("human2"), "the other is let go")
    assert {("human", AGENT), (AGENT, "human")} == heard(scene.fake, scene)
    await transfer.complete()
    assert {("human", CALLER), (CALLER, "human")} <= heard(scene.fake, scene)


@pytest.mark.parametrize("gone", ["caller", "human"])
async def test_somebody_hangs_up_as_it_is_accepted(scene: Scene, gone: str) -> None:
    transfer = await scene.call.transfer("1003")
    await scene.offered()
    channel = scene.caller if gone == "caller" else scene.channel(gone)
    scene.press("human", "1")
    scene.fake.channel_hangs_up(channel.id)
    outcome = await transfer.wait()
    if gone == "caller":
        assert outcome is Outcome.CALLER_HUNG_UP
        await until(lambda: not scene.channels("human"), "the human is let go")
    else:
        assert outcome is Outcome.HUMAN_LEFT
        await until(lambda: {(CALLER, AGENT), (AGENT, CALLER)} == heard(scene.fake, scene), "back")


async def test_cancelled_as_it_is_accepted(scene: Scene) -> None:
    transfer = await scene.call.transfer("1003", consult=True, accept="key")
    await scene.offered()
    scene.press("human", "1")
    await transfer.cancel()
    assert transfer.outcome is Outcome.CANCELLED
    await until(lambda: not scene.channels("human"), "the human is let go")
    assert {(CALLER, AGENT), (AGENT, CALLER)} == heard(scene.fake, scene)
