"""The program is killed in the middle of a call, and another goes on with it."""

from __future__ import annotations

import asyncio

import pytest

from bridge import ActiveCall, AudioMode, CallState
from bridge.lab.hearing import tone
from bridge.lab.waiting import until
from tests.audio.machine import measured, whole
from tests.integration.restart.program import RATE, SPEECH
from tests.integration.restart.scene import TALK, Next, Scene, keys_left, killed, next_program
from tests.support.conference import AGENT, HZ, Pairs, everyone
from tests.support.pbx import SENT_DBFS, Pbx, mode_of, state_of, until_true

pytestmark = pytest.mark.asterisk

UNDER_CONTROL_S = 2.0
LONGEST_SILENCE_S = 0.06
NOBODY: tuple[AudioMode, set[str]] = (AudioMode.SPY, set())


async def the_call(after: Next) -> ActiveCall:
    """Wait until it is under control again."""
    await after.resumed(1)
    (call,) = after.calls.values()
    assert after.under_control_s[call.caller_number] < UNDER_CONTROL_S
    assert after.client.calls == (call,)
    assert after.incoming == []
    return call


async def all_end(scene: Scene, call: ActiveCall) -> None:
    """The call ends when it is told to, for everybody."""
    await call.disconnect(cut=True)
    for party in scene.people.values():
        await party.wait_closed()


def heard_by(*parties: str) -> Pairs:
    return {(party, AGENT) for party in parties}


@pytest.mark.parametrize("state", ["talking", "whispering", "conference", "adding", "apart"])
async def test_parties_who_talk(pbx: Pbx, state: str) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with killed(pbx, state) as scene, next_program(pbx) as after:
            call = await the_call(after)
            assert (state_of(call), mode_of(call)) == (CallState.CONNECTED, NOBODY)
            await scene.conference.parties_hear(TALK[state])
            lost = await scene.lost()
            await call.whisper("callee", cut=True)
            await call.send_audio(SPEECH)
            await scene.conference.parties_hear(TALK[state] | heard_by("callee"))
            await all_end(scene, call)
        whole(not lost, lost)

    await measured(pbx, measurement)


async def test_who_is_muted_stays_muted_until_he_is_to_be_heard(pbx: Pbx) -> None:
    async with killed(pbx, "conference") as scene, next_program(pbx) as after:
        call = await the_call(after)
        assert {party.name for party in call.parties if party.muted} == {"expert"}
        await call.unmute("expert")
        await scene.conference.parties_hear(everyone(*scene.people))
        await call.remove("expert")
        await scene.people.pop("expert").wait_closed()
        await all_end(scene, call)


async def test_who_is_held_hears_his_music_on(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with killed(pbx, "held") as scene, next_program(pbx) as after:
            call = await the_call(after)
            assert (state_of(call), mode_of(call)) == (CallState.CONNECTED, NOBODY)
            assert {party.name for party in call.parties if party.held} == {"caller"}
            silence_s = await scene.silence_s("caller")
            await scene.conference.parties_hear(set(), "caller")
            assert await scene.conference.music() == {"caller"}
            await call.unhold("caller")
            await scene.conference.parties_hear(everyone("caller", "callee"))
            await all_end(scene, call)
        whole(silence_s < LONGEST_SILENCE_S, f"silence for {silence_s:.3f} s")

    await measured(pbx, measurement)


async def test_a_caller_alone_gets_an_agent_again(pbx: Pbx) -> None:
    async with killed(pbx, "answered") as scene, next_program(pbx) as after:
        call = await the_call(after)
        assert (state_of(call), call.mode) == (CallState.ANSWERED, AudioMode.BARGE)
        await scene.conference.parties_hear(set())
        stream = call.audio_stream("caller")
        await call.send_audio(SPEECH)
        await scene.conference.parties_hear(heard_by("caller"))
        async with asyncio.timeout(2):
            await anext(stream)
        await all_end(scene, call)


async def test_a_callee_rings_on(pbx: Pbx) -> None:
    async with killed(pbx, "ringing") as scene, next_program(pbx) as after:
        call = await the_call(after)
        assert state_of(call) is CallState.ANSWERED
        scene.people["callee"] = await scene.pick_up("callee")
        await until(lambda: state_of(call) is CallState.CONNECTED, "the callee has joined")
        await scene.conference.parties_hear(everyone("caller", "callee"))
        await all_end(scene, call)


async def test_a_third_rings_on(pbx: Pbx) -> None:
    async with killed(pbx, "adding") as scene, next_program(pbx) as after:
        call = await the_call(after)
        assert {party.name for party in call.parties if not party.joined} == {"expert"}
        scene.people["expert"] = await scene.pick_up("expert")
        await until(lambda: all(party.joined for party in call.parties), "he has joined")
        await scene.conference.parties_hear(everyone(*scene.people))
        await all_end(scene, call)


async def test_a_third_picks_up_while_no_program_runs(pbx: Pbx) -> None:
    async with killed(pbx, "adding") as scene:
        scene.people["expert"] = await scene.pick_up("expert")
        async with next_program(pbx) as after:
            call = await the_call(after)
            await until(lambda: all(party.joined for party in call.parties), "he has joined")
            await scene.conference.parties_hear(everyone(*scene.people))
            await all_end(scene, call)


async def test_a_third_gives_up_while_no_program_runs(pbx: Pbx) -> None:
    async with killed(pbx, "adding") as scene:
        await pbx.hang_up(await scene.leg("expert"))
        async with next_program(pbx) as after:
            call = await the_call(after)
            assert {party.name for party in call.parties} == {"caller", "callee"}
            await all_end(scene, call)


async def test_whoever_is_apart_stays_so(pbx: Pbx) -> None:
    async with killed(pbx, "apart") as scene, next_program(pbx) as after:
        call = await the_call(after)
        assert {party.name for party in call.parties if party.apart} == {"expert"}
        await call.barge(cut=True)
        await call.send_audio(SPEECH)
        heard = TALK["apart"] | heard_by("caller", "callee")
        await scene.conference.parties_hear(heard)
        await call.whisper("expert", cut=True)
        await call.send_audio(SPEECH)
        heard = TALK["apart"] | heard_by("expert")
        await scene.conference.parties_hear(heard)
        await all_end(scene, call)


async def test_a_supervisor_on_the_phone_who_had_taken_over(pbx: Pbx) -> None:
    async with killed(pbx, "taken_over") as scene, next_program(pbx) as after:
        call = await the_call(after)
        await after.observed(1)
        (boss,) = after.observers
        assert (boss.name, boss.mode, call.taken_over_by) == ("boss", AudioMode.SPY, None)
        hears = {("boss", "caller"), ("boss", "callee")}
        both = everyone("caller", "callee")
        await scene.conference.parties_hear(both | hears)
        await boss.take_over()
        taken = {("callee", "caller"), ("caller", "boss"), ("callee", "boss"), ("boss", "caller")}
        await scene.conference.parties_hear(taken)
        await boss.give_back()
        await scene.conference.parties_hear(both | hears)
        await all_end(scene, call)


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("state", ["replaced", "alone"])
async def test_a_supervisor_on_the_phone_who_is_all_that_the_caller_has(
    pbx: Pbx, state: str, *, listens: bool
) -> None:
    async with killed(pbx, state) as scene, next_program(pbx, listens=listens) as after:

        async def they_talk() -> bool:
            return await scene.conference.heard_by_parties() == everyone("caller", "boss")

        await until_true(they_talk, "they talk again")
        if listens:
            await after.observed(1)
            assert after.observers[0].mode is AudioMode.BARGE
        await until(lambda: listens or after.client.calls == (), "the agent has left")
        assert await they_talk()
        await scene.people.pop("boss").hangup()
        await scene.people["caller"].wait_closed()
        await pbx.empty()


async def test_who_observes(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with killed(pbx, "observed") as scene, next_program(pbx) as after:
            call = await the_call(after)
            await after.observed(2)
            boss, coach = sorted(after.observers, key=lambda one: one.name)
            assert [(o.name, o.mode, o.call_id) for o in (boss, coach)] == [
                ("boss", AudioMode.SPY, call.call_id),
                ("coach", AudioMode.SPY, call.call_id),
            ]
            hears = {("boss", "caller"), ("boss", "callee")}
            both = everyone("caller", "callee")
            await scene.conference.parties_hear(both | hears)
            lost = await scene.lost()
            await boss.whisper("callee")
            await coach.barge(cut=True)
            said = tone(HZ["friend"], SENT_DBFS, 60.0, RATE).astype("<i2").tobytes()
            await coach.send_audio(said)
            told = {("callee", "boss"), *((who, "friend") for who in scene.people)}
            await scene.conference.parties_hear(both | hears | told)
            await boss.leave()
            await scene.people.pop("boss").wait_closed()
            await all_end(scene, call)
        whole(not lost, lost)

    await measured(pbx, measurement)


@pytest.mark.parametrize("state", ["taken_over", "observed"])
async def test_a_phone_stays_though_nobody_listens(pbx: Pbx, state: str) -> None:
    async with killed(pbx, state) as scene, next_program(pbx, listens=False) as after:
        await until(lambda: after.client._controller is not None, "it is connected")
        controller = after.client._controller
        assert controller is not None
        await until(
            lambda: (
                {
                    o.name
                    for e in controller.engines
                    for o in controller.supervision.observers_of(e.incoming.call_id)
                }
                == {"boss"}
            ),
            "the phone is seated, and no program",
        )

        async def alone() -> bool:
            return not [key for key in await keys_left(pbx) if ".ai." in key]

        await until_true(alone, "the agent has left")
        assert after.client.calls == ()
        hears = {("boss", "caller"), ("boss", "callee")}
        both = everyone("caller", "callee")
        await scene.conference.parties_hear(both | hears)
        await scene.people.pop("caller").hangup()
        for party in scene.people.values():
            await party.wait_closed()
        await pbx.empty()


async def test_the_call_of_a_phone_has_ended_meanwhile(pbx: Pbx) -> None:
    async with killed(pbx, "observed") as scene:
        for name in ("caller", "callee"):
            await scene.people.pop(name).hangup()
        async with next_program(pbx) as after:
            await scene.people["boss"].wait_closed()
            await pbx.empty()
            assert after.calls == {}
            assert after.observers == []
