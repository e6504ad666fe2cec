"""The program is killed in the middle of a transfer, and another brings it to its end."""

from __future__ import annotations

import asyncio

import pytest

from bridge import ActiveCall, AudioMode, CallState, EndReason
from bridge.ari import events
from bridge.lab.waiting import until
from bridge.model.ids import CallId
from bridge.model.participants import Participant
from bridge.sdk.transfer import Transfer
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome
from tests.audio.machine import measured, whole
from tests.integration.restart.program import SPEECH
from tests.integration.restart.scene import MUSIC, TALK, Next, Scene, killed, next_program
from tests.support.conference import AGENT, everyone
from tests.support.pbx import Pbx, mode_of, state_of
from tests.support.transfers import stage_of

pytestmark = pytest.mark.asterisk

BOTH = everyone("caller", "human")
LONGEST_SILENCE_S = 0.06


async def the_transfer(after: Next) -> tuple[ActiveCall, Transfer]:
    """Wait until the call is under control again; return it, and its transfer."""
    await after.resumed(1)
    (call,) = after.calls.values()
    transfer = call.transfer_in_progress
    assert transfer is not None
    assert call.transfer_in_progress is transfer
    return call, transfer


async def press(scene: Scene, after: Next, key: str) -> None:
    """Press a key at the human's phone; a direct party has none."""
    controller = after.client._connected()
    (engine,) = controller.engines
    channel_id = engine.executor.channel_of(Participant("human"))
    channel = next(c for c in await scene.pbx.listed() if c.id == channel_id)
    engine.handset(
        events.ChannelDtmfReceived(
            application="callbridge", timestamp="", digit=key, duration_ms=100, channel=channel
        )
    )


async def is_offered(after: Next) -> None:
    """Wait until the human is asked."""

    def asked() -> bool:
        (engine,) = after.client._connected().engines
        transfer = after.client._connected().transfers.of(CallId(engine.incoming.call_id))
        return transfer is not None and Participant("human") in transfer.offered

    await until(asked, "the human is asked")


async def they_talk(scene: Scene) -> None:
    """The caller and the human talk, alone; then they hang up."""
    await scene.conference.parties_hear(BOTH)
    await scene.people["caller"].hangup()
    await scene.people["human"].wait_closed()
    await scene.pbx.empty()


@pytest.mark.parametrize("state", ["transferring", "offered", "consulting", "aside", "together"])
async def test_everybody_is_where_he_was(pbx: Pbx, state: str) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with killed(pbx, state) as scene, next_program(pbx) as after:
            call, _ = await the_transfer(after)
            music = [MUSIC[state]] if state in MUSIC else []
            silence_s = await scene.silence_s(music[0]) if music else 0.0
            beeps = ["human"] if state == "offered" else []
            await scene.conference.parties_hear(TALK[state], *music, *beeps)
            lost = await scene.lost()
            await call.disconnect(cut=True)
            await asyncio.gather(*(party.wait_closed() for party in scene.people.values()))
        whole(not lost, lost)
        whole(silence_s < LONGEST_SILENCE_S, f"silence for {silence_s:.3f} s")

    await measured(pbx, measurement)


async def test_the_human_picks_up_later(pbx: Pbx) -> None:
    async with killed(pbx, "transferring") as scene, next_program(pbx) as after:
        _, transfer = await the_transfer(after)
        assert stage_of(transfer) is Stage.RINGING
        scene.people["human"] = await scene.pick_up("human")
        await is_offered(after)
        await scene.conference.parties_hear(set(), "caller", "human")
        await press(scene, after, "1")
        assert await transfer.wait() is Outcome.COMPLETED
        await they_talk(scene)


async def test_the_human_picks_up_while_no_program_runs(pbx: Pbx) -> None:
    async with killed(pbx, "transferring") as scene:
        scene.people["human"] = await scene.pick_up("human")
        async with next_program(pbx) as after:
            _, transfer = await the_transfer(after)
            await is_offered(after)
            await press(scene, after, "1")
            assert await transfer.wait() is Outcome.COMPLETED
            await they_talk(scene)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_the_human_does_not_pick_up(pbx: Pbx, when: str) -> None:
    async with killed(pbx, "transferring") as scene:
        leg = await scene.leg("human")
        if when == "before":
            await pbx.hang_up(leg)
        async with next_program(pbx) as after:
            await after.resumed(1)
            (call,) = after.calls.values()
            if when == "after":
                transfer = call.transfer_in_progress
                assert transfer is not None
                await pbx.hang_up(leg)
                assert await transfer.wait() is Outcome.FAILED
            await until(lambda: call.transfer_in_progress is None, "the transfer is over")
            await until(lambda: not any(p.held for p in call.parties), "the caller is back")
            assert state_of(call) is CallState.ANSWERED
            assert call.mode is AudioMode.BARGE
            await call.send_audio(SPEECH)
            await scene.conference.parties_hear({("caller", AGENT)})
            await call.disconnect(cut=True)


async def test_the_human_accepts_what_he_is_asked_again(pbx: Pbx) -> None:
    async with killed(pbx, "offered") as scene, next_program(pbx) as after:
        call, transfer = await the_transfer(after)
        await is_offered(after)
        await press(scene, after, "1")
        assert await transfer.wait() is Outcome.COMPLETED
        assert await call.wait_ended() is EndReason.AGENT_LEFT
        await they_talk(scene)


@pytest.mark.parametrize("state", ["consulting", "aside", "together"])
async def test_it_is_completed(pbx: Pbx, state: str) -> None:
    async with killed(pbx, state) as scene, next_program(pbx) as after:
        call, transfer = await the_transfer(after)
        assert transfer.human == "human"
        if state == "consulting":
            assert mode_of(call) == (AudioMode.SPY, set())
            await call.barge(cut=True)
            await call.send_audio(SPEECH)
            await scene.conference.parties_hear({("human", AGENT)}, "caller")
        await transfer.complete(cut=True)
        assert await transfer.wait() is Outcome.COMPLETED
        await they_talk(scene)


async def test_it_is_cancelled(pbx: Pbx) -> None:
    async with killed(pbx, "consulting") as scene, next_program(pbx) as after:
        call, transfer = await the_transfer(after)
        await transfer.cancel()
        await scene.people.pop("human").wait_closed()
        assert state_of(call) is CallState.ANSWERED
        await call.disconnect()


@pytest.mark.parametrize("state", ["transferring", "offered"])
async def test_it_goes_on_though_nobody_listens(pbx: Pbx, state: str) -> None:
    async with killed(pbx, state) as scene, next_program(pbx, listens=False) as after:
        if state == "transferring":
            scene.people["human"] = await scene.pick_up("human")
        await is_offered(after)
        await until(lambda: after.client.calls == (), "the agent has left")
        await is_offered(after)
        await press(scene, after, "1")
        await they_talk(scene)


@pytest.mark.parametrize("state", ["consulting", "aside", "together"])
async def test_it_is_completed_though_nobody_listens(pbx: Pbx, state: str) -> None:
    async with killed(pbx, state) as scene, next_program(pbx, listens=False) as after:
        await until(lambda: after.client._controller is not None, "it is there")
        await until(lambda: after.client.calls == (), "the agent has left")
        await they_talk(scene)


@pytest.mark.parametrize("state", ["transferring", "offered", "consulting", "aside"])
async def test_the_caller_hangs_up_while_no_program_runs(pbx: Pbx, state: str) -> None:
    async with killed(pbx, state) as scene:
        await scene.people.pop("caller").hangup()
        async with next_program(pbx):
            for party in scene.people.values():
                await party.wait_closed()
            await pbx.empty()


@pytest.mark.parametrize("state", ["offered", "consulting", "aside", "together"])
async def test_the_human_hangs_up_while_no_program_runs(pbx: Pbx, state: str) -> None:
    async with killed(pbx, state) as scene:
        await scene.people.pop("human").hangup()
        async with next_program(pbx) as after:
            await after.resumed(1)
            (call,) = after.calls.values()
            await until(lambda: not any(p.held for p in call.parties), "the caller is back")
            await until(lambda: call.transfer_in_progress is None, "it is over")
            await until(lambda: mode_of(call)[0] is AudioMode.BARGE, "the agent is heard")
            assert state_of(call) is CallState.ANSWERED
            await call.send_audio(SPEECH)
            await scene.conference.parties_hear({("caller", AGENT)})
            await call.disconnect(cut=True)
