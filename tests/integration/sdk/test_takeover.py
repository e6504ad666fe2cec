"""An observer stands in for the callee or for the agent, and gives the call back, or does not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from bridge import ActiveCall, AudioMode, CallState, EndReason, events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import pcm_from_bytes
from bridge.lab.waiting import until
from bridge.model.errors import CommandInProgressError, InvalidStateError
from bridge.model.participants import Participant
from bridge.sdk import Client, Observer
from bridge.session import inputs
from tests.audio.listening import words
from tests.audio.machine import measured, whole
from tests.support.conference import AGENT, HZ, Conference, Pairs, everyone
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, DirectCall, Pbx, mode_of, state_of

pytestmark = pytest.mark.asterisk

BOSS = "boss"
PEOPLE = {"caller", "callee"}
QUIET = 1000
"""Of 32768: nothing in the loudest sample of 20 ms of speech."""


@dataclass
class Scene:
    """A call, its agent, who speaks in barge, and an observer, who says his tone without end."""

    client: Client
    conference: Conference
    boss: Observer

    async def hears(self, expected: Pairs) -> None:
        """Fail unless exactly these parties hear these."""
        await self.conference.parties_hear(expected)


async def scene_of(pbx: Pbx, *, connect: bool = True) -> Scene:
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    ari = pbx.instance.info.ari
    caller = await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))
    direct = DirectCall(pbx, await program.next_call(), caller, callee_tone=CALLEE_TONE)
    conference = await Conference.of(direct, connect=connect)
    boss = await program.client.observe(conference.call, BOSS)
    await conference.speak()
    return Scene(program.client, conference, boss)


async def take_over(scene: Scene, replaced: str, *, keep: bool = True) -> None:
    """Let the observer take over, saying something all the time from then on."""
    scene.boss.clear_send_audio_buffer()
    await scene.boss.take_over(replaced, keep=keep)
    await scene.boss.send_audio(words(HZ[BOSS], 60.0))


async def give_back(scene: Scene) -> None:
    """Let the observer give the call back, in the middle of what he says."""
    scene.boss.clear_send_audio_buffer()
    await scene.boss.give_back()


def taken_over_by(call: ActiveCall) -> str | None:
    """Read a property, which would be taken as constant when it is compared twice."""
    return call.taken_over_by


async def test_the_callee_listens_and_gets_the_call_back(pbx: Pbx) -> None:
    scene = await scene_of(pbx)
    call = scene.conference.call
    told: list[tuple[str, str]] = []
    call.on(events.CALL_TAKEN_OVER, lambda _call, name: told.append(("taken", name)))
    call.on(events.CALL_GIVEN_BACK, lambda _call, name: told.append(("back", name)))
    before = everyone(*PEOPLE) | {(name, AGENT) for name in PEOPLE}
    await scene.hears(before)
    await take_over(scene, "callee")
    assert taken_over_by(call) == BOSS
    assert [(p.name, p.muted) for p in call.parties] == [("caller", False), ("callee", True)]
    spoken = {(name, speaker) for name in PEOPLE for speaker in (AGENT, BOSS)}
    await scene.hears(spoken | {("callee", "caller")})
    with pytest.raises(InvalidStateError, match=BOSS):
        await call.unmute("callee")
    await take_over(scene, "callee")
    await give_back(scene)
    assert taken_over_by(call) is None
    await scene.hears(before)
    await until(lambda: told == [("taken", "callee"), ("back", "callee")], "events")
    await call.disconnect(cut=True)


@pytest.mark.parametrize("connect", [True, False])
async def test_the_agent_listens_and_gets_the_call_back(pbx: Pbx, *, connect: bool) -> None:
    scene = await scene_of(pbx, connect=connect)
    call = scene.conference.call
    people = set(scene.conference.people)
    state = state_of(call)
    await take_over(scene, AGENT)
    assert mode_of(call) == (AudioMode.SPY, set())
    await scene.hears(everyone(*people) | {(name, BOSS) for name in people})
    with pytest.raises(InvalidStateError):
        await call.barge()
    await scene.conference.speak()
    await scene.hears(everyone(*people) | {(name, BOSS) for name in people})
    assert {who for _, who in await scene.conference.heard()} >= people
    await give_back(scene)
    assert mode_of(call) == (AudioMode.BARGE, set())
    await scene.conference.speak()
    await scene.hears(everyone(*people) | {(name, AGENT) for name in people})
    assert state_of(call) is state
    await call.disconnect(cut=True)


@pytest.mark.parametrize("barging", [True, False])
async def test_the_callee_is_let_go(pbx: Pbx, *, barging: bool) -> None:
    scene = await scene_of(pbx)
    call = scene.conference.call
    if not barging:
        await call.spy(cut=True)
    await take_over(scene, "callee", keep=False)
    await scene.conference.people.pop("callee").wait_closed()
    agent = {("caller", AGENT)} if barging else set()
    await scene.hears({("caller", BOSS)} | agent)
    assert state_of(call) is CallState.CONNECTED
    with pytest.raises(InvalidStateError, match="let go"):
        await scene.boss.give_back()
    await scene.boss.leave(cut=True)
    if barging:
        await until(lambda: state_of(call) is CallState.ANSWERED, "the agent and the caller")
        await scene.hears(agent)
        await call.disconnect(cut=True)
    else:
        await scene.conference.people["caller"].wait_closed()
        assert await call.wait_ended() is EndReason.NOBODY_LEFT


@pytest.mark.parametrize("connect", [True, False])
async def test_the_agent_is_let_go(pbx: Pbx, *, connect: bool) -> None:
    scene = await scene_of(pbx, connect=connect)
    people = dict(scene.conference.people)
    await take_over(scene, AGENT, keep=False)
    assert await scene.conference.call.wait_ended() is EndReason.TAKEN_OVER
    await scene.hears(everyone(*people) | {(name, BOSS) for name in people})
    if connect:
        # Without the agent, too, somebody can stand in for the callee.
        await take_over_again(scene)
        await scene.hears({("callee", "caller"), *((name, BOSS) for name in people)})
    await scene.boss.leave(cut=True)
    if connect:
        await scene.hears(everyone(*people))
        await people["callee"].hangup()
    await people["caller"].wait_closed()


async def take_over_again(scene: Scene) -> None:
    """Let another take over from the callee when nobody stands in for him any more."""
    other = await scene.client.observe(scene.conference.call, "other")
    with pytest.raises(CommandInProgressError, match=BOSS):
        await other.take_over("callee")
    assert other.mode is AudioMode.SPY
    await scene.boss.leave(cut=True)
    scene.boss = other
    await take_over(scene, "callee")


@pytest.mark.parametrize("replaced", ["callee", AGENT])
async def test_who_was_replaced_is_heard_when_the_other_just_goes(pbx: Pbx, replaced: str) -> None:
    scene = await scene_of(pbx)
    call = scene.conference.call
    back: list[str] = []
    call.on(events.CALL_GIVEN_BACK, lambda _call, name: back.append(name))
    await take_over(scene, replaced)
    await scene.boss.leave(cut=True)
    await until(lambda: back == [replaced], "he is missed")
    assert taken_over_by(call) is None
    assert mode_of(call) == (AudioMode.BARGE, set())
    assert not any(party.muted for party in call.parties)
    await scene.conference.speak()
    await scene.hears(everyone(*PEOPLE) | {(name, AGENT) for name in PEOPLE})
    await call.disconnect(cut=True)


async def test_the_caller_stays_when_the_replaced_callee_hangs_up(pbx: Pbx) -> None:
    scene = await scene_of(pbx)
    await take_over(scene, "callee")
    await scene.conference.people.pop("callee").hangup()
    await until(lambda: len(scene.conference.call.parties) == 1, "he is missed")
    await scene.hears({("caller", BOSS), ("caller", AGENT)})
    await scene.conference.people.pop("caller").hangup()
    assert await scene.conference.call.wait_ended() is EndReason.CALLER_HUNG_UP


@pytest.mark.quiet
@pytest.mark.parametrize("replaced", ["callee", AGENT])
@pytest.mark.parametrize("keep", [True, False])
async def test_the_caller_is_never_without_anybody(pbx: Pbx, replaced: str, *, keep: bool) -> None:
    """Whoever takes over is in the middle of a sentence; so is who is replaced."""

    async def measurement(pbx: Pbx) -> None:
        scene = await scene_of(pbx, connect=replaced == "callee")
        if replaced == "callee":
            await scene.conference.call.spy(cut=True)
        await scene.boss.barge()
        await scene.boss.send_audio(words(HZ[BOSS], 60.0))
        caller = scene.conference.people["caller"]
        await caller.wait_frames(len(caller.frames) + 20)
        caller.clear()
        await pbx.engine(scene.conference.call).command(
            lambda token: inputs.TakeOver(token, Participant(BOSS), Participant(replaced), keep)
        )
        await caller.wait_frames(20)
        heard = [np.abs(pcm_from_bytes(frame)).max() for _, frame in list(caller.frames)]
        whole(min(heard) > QUIET, "the caller heard nobody")
        await asyncio.gather(scene.boss.leave(cut=True), scene.conference.call.disconnect(cut=True))
        await caller.hangup()

    await measured(pbx, measurement)
