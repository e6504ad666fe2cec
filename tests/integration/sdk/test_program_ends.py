"""The program crashes, or leaves in order, in every state; another one takes up what it left."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable

import pytest

from bridge import AudioMode, CallState, Client, EndReason, events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, gaps, levels
from bridge.lab.waiting import until
from bridge.model.errors import ServerError
from bridge.topology.objects import ANCHORS
from tests.audio.machine import anew, whole
from tests.support.child import Child, child
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, DirectCall, Pbx, state_of, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]

RATE = 16000
PROGRAM = "tests.support.program"


async def dial(pbx: Pbx) -> DirectParty:
    ari = pbx.instance.info.ari
    return await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))


async def direct_call(pbx: Pbx) -> tuple[Client, DirectCall]:
    """A call of a program in this process."""
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    party = await dial(pbx)
    call = await program.next_call()
    return program.client, DirectCall(pbx, call, party, callee_tone=CALLEE_TONE)


async def callee_leg(pbx: Pbx) -> str:
    legs: list[str] = []

    async def look() -> bool:
        legs[:] = [i for i in await pbx.channels() if "leg.callee" in i]
        return bool(legs)

    await until_true(look, "the callee is rung")
    return legs[0]


async def talking(pbx: Pbx, program: Child) -> tuple[DirectParty, DirectParty]:
    """Two parties, whom the program has connected and whispers to."""
    caller = await dial(pbx)
    leg = await callee_leg(pbx)
    ari = pbx.instance.info.ari
    callee = await pbx.keep(DirectParty.answer(ari, leg, tone=CALLEE_TONE))
    await program.says("CONNECTED")
    await until(lambda: level(callee, "agent") > -30, "the whisper is heard")
    await each_other(caller, callee)
    return caller, callee


async def each_other(caller: DirectParty, callee: DirectParty) -> None:
    """Wait until the parties hear each other, and forget what they heard before."""
    await until(lambda: level(caller, "callee") > -18, "the caller hears the callee")
    await until(lambda: level(callee, "caller") > -18, "the callee hears the caller")
    caller.clear()
    callee.clear()


def level(listener: DirectParty, speaker: str) -> float:
    """Level of a speaker in the last tenth of a second."""
    pcm = listener.pcm()[-RATE // 10 :]
    return levels(pcm, RATE, TONES)[speaker] if len(pcm) == RATE // 10 else -120.0


async def nothing_lost(caller: DirectParty, callee: DirectParty) -> None:
    for party in (caller, callee):
        await party.wait_frames(len(party.frames) + 10)
    for listener, speaker in ((caller, "callee"), (callee, "caller")):
        missed = gaps(listener.pcm(), RATE, TONES[speaker])
        whole(missed == [], f"of the {speaker}: {missed}")


async def only_the_parties(pbx: Pbx) -> None:
    async def theirs() -> bool:
        channels = await pbx.channels()
        bridges = await pbx.bridges()
        return len(channels) == 2 + len(ANCHORS) and len(bridges) == 1

    await until_true(theirs, "what was the agent's is removed")


# --- it crashes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("party", ["caller", "callee"])
@anew
async def test_a_crash_while_two_talk(pbx: Pbx, party: str) -> None:
    async with child(pbx, PROGRAM, "CONNECTED") as program:
        caller, callee = await talking(pbx, program)
        await program.die()
        await until(lambda: level(callee, "agent") < -75, "the whisper has ended")
        await nothing_lost(caller, callee)
        gone, left = (caller, callee) if party == "caller" else (callee, caller)
        # Nobody controls the call any more; still nobody is left alone.
        await gone.hangup()
        await left.wait_closed()

        async def no_channel() -> bool:
            return not await pbx.channels()

        await until_true(no_channel, "no channel is left")
    # Bridges without a channel are what remains for the next start.
    await pbx.program()


@pytest.mark.parametrize("party", ["caller", "callee"])
@anew
async def test_the_next_program_takes_over_who_talks(pbx: Pbx, party: str) -> None:
    async with child(pbx, PROGRAM, "CONNECTED") as first:
        caller, callee = await talking(pbx, first)
        await first.die()
    program = await pbx.program()
    await only_the_parties(pbx)
    assert program.calls.empty()
    assert program.client.calls == ()
    await nothing_lost(caller, callee)
    gone, left = (caller, callee) if party == "caller" else (callee, caller)
    await gone.hangup()
    await left.wait_closed()
    await pbx.empty()


@anew
async def test_and_the_one_after_that(pbx: Pbx) -> None:
    async with child(pbx, PROGRAM, "CONNECTED") as first:
        caller, callee = await talking(pbx, first)
        await first.die()
    for _ in range(2):
        program = await pbx.program()
        await only_the_parties(pbx)
        await program.client.disconnect()
    await nothing_lost(caller, callee)
    await caller.hangup()
    await callee.wait_closed()
    # The legs are gone; their bridge is what the last program did not live to remove.
    await pbx.program()


async def test_a_caller_alone_is_hung_up_by_the_next_start(pbx: Pbx) -> None:
    async with child(pbx, PROGRAM, "ANSWERED") as first:
        caller = await dial(pbx)
        await first.says("ANSWERED")
        await first.die()
    assert not caller.closed
    program = await pbx.program()
    await caller.wait_closed()
    await pbx.empty()
    assert program.calls.empty()


@pytest.mark.parametrize("state", ["PENDING", "PENDING, RINGING"])
async def test_a_waiting_caller_is_offered_to_the_next_program(pbx: Pbx, state: str) -> None:
    async with child(pbx, PROGRAM, state) as first:
        caller = await dial(pbx)
        await first.says(state.rpartition(", ")[2])
        if state.endswith("RINGING"):
            await callee_leg(pbx)
        await first.die()
    program = await pbx.program()
    call = await program.next_call()
    assert (call.caller_number, call.callee_number) == ("1999", "1002")
    assert state_of(call) is CallState.PENDING

    async def alone() -> bool:
        return await pbx.channels() == [caller.channel_id]

    await until_true(alone, "nothing but the caller is left")
    await call.answer()
    assert state_of(call) is CallState.ANSWERED
    await call.disconnect()


async def test_a_caller_whose_callee_rang_is_released_by_the_next_start(pbx: Pbx) -> None:
    async with child(pbx, PROGRAM, "ANSWERED, RINGING") as first:
        caller = await dial(pbx)
        await first.says("RINGING")
        await callee_leg(pbx)
        await first.die()
    await pbx.program()
    await caller.wait_closed()
    await pbx.empty()


# --- it leaves in order -------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["PENDING", "ANSWERED", "PENDING, RINGING", "ANSWERED, RINGING"])
async def test_an_end_in_order_releases_a_caller_alone(pbx: Pbx, state: str) -> None:
    async with child(pbx, PROGRAM, state) as program:
        caller = await dial(pbx)
        await program.says(state.rpartition(", ")[2])
        if state.endswith("RINGING"):
            await callee_leg(pbx)
        await program.terminate()
        await program.says("left")
    await caller.wait_closed()
    await pbx.empty()


async def test_ctrl_c_is_an_end_in_order(pbx: Pbx) -> None:
    async with child(pbx, PROGRAM, "ANSWERED") as program:
        caller = await dial(pbx)
        await program.says("ANSWERED")
        await program.terminate(signal.SIGINT)
        await program.says("left")
    await caller.wait_closed()
    await pbx.empty()


@anew
async def test_an_end_in_order_lets_two_talk_on(pbx: Pbx) -> None:
    async with child(pbx, PROGRAM, "CONNECTED") as program:
        caller, callee = await talking(pbx, program)
        await program.terminate()
    await only_the_parties(pbx)
    await nothing_lost(caller, callee)
    assert level(callee, "agent") < -75
    await caller.hangup()
    await callee.wait_closed()
    await pbx.program()


@anew
async def test_an_end_after_close_lets_two_talk_on(pbx: Pbx) -> None:
    client, direct = await direct_call(pbx)
    callee = await direct.connect()
    await direct.call.close()
    await each_other(direct.caller, callee)
    await client.disconnect()
    await nothing_lost(direct.caller, callee)
    assert direct.call.end_reason is EndReason.AGENT_LEFT
    await direct.call.disconnect()
    await direct.caller.hangup()
    await callee.wait_closed()
    await pbx.program()


async def test_an_end_while_closing(pbx: Pbx) -> None:
    client, direct = await direct_call(pbx)
    callee = await direct.connect()
    await direct.call.send_audio(bytes(5 * RATE * 2))
    closing = asyncio.create_task(direct.call.close())
    await until(lambda: not direct.call._engine.session.takes_audio, "close() is under way")
    async with asyncio.timeout(1):
        await client.disconnect()
        await closing
    assert direct.call.end_reason is EndReason.AGENT_LEFT
    await direct.caller.hangup()
    await callee.wait_closed()
    await pbx.program()


async def test_commands_after_the_client_left(pbx: Pbx) -> None:
    client, direct = await direct_call(pbx)
    call = direct.call
    await call.answer()
    told: list[EndReason | None] = []
    call.on(events.CALL_TERMINATED, lambda: told.append(call.end_reason))
    await client.disconnect()
    assert told == [EndReason.AGENT_ENDED]
    await client.disconnect()
    async with asyncio.timeout(1):
        await call.close()
        await call.disconnect()
        assert await call.wait_ended() is EndReason.AGENT_ENDED


async def test_run_forever_ends_by_disconnect(pbx: Pbx) -> None:
    program = await pbx.program()
    running = asyncio.create_task(program.client.run_forever())
    await until(
        lambda: "client ended" in {task.get_name() for task in asyncio.all_tasks()}, "it runs"
    )
    await program.client.disconnect()
    async with asyncio.timeout(1):
        await running


# --- it is replaced -----------------------------------------------------------------------------


@anew
async def test_a_second_program_of_the_same_name(pbx: Pbx) -> None:
    client, direct = await direct_call(pbx)
    callee = await direct.connect()
    await direct.call.whisper()
    await each_other(direct.caller, callee)
    running = asyncio.create_task(client.run_forever())
    second = await pbx.program()
    with pytest.raises(ServerError, match="application"):
        await running
    async with asyncio.timeout(3):
        assert await direct.call.wait_ended() is EndReason.SERVER_LOST
    assert direct.call.mode is AudioMode.SPY
    await only_the_parties(pbx)
    await nothing_lost(direct.caller, callee)
    assert second.calls.empty()
    ari = pbx.instance.info.ari
    await pbx.keep(DirectParty.call(ari, "1004", tone=None))
    call = await second.next_call()
    await call.disconnect()
    await client.disconnect()
    await direct.caller.hangup()
    await callee.wait_closed()
    await pbx.empty()


async def test_a_second_program_gets_who_waits_and_releases_who_is_alone(pbx: Pbx) -> None:
    client, direct = await direct_call(pbx)
    ari = pbx.instance.info.ari
    waiting = await pbx.keep(DirectParty.call(ari, "1003", tone=None))
    await until(lambda: len(client.calls) == 2, "both have come")
    await direct.call.answer()
    second = await pbx.program()
    await direct.caller.wait_closed()
    call = await second.next_call()
    assert call.callee_number == "1003"
    assert not waiting.closed
    await call.answer()
    await call.disconnect()


async def test_a_crash_in_the_middle_of_the_probe(pbx: Pbx) -> None:
    async with child(pbx, PROGRAM, "PENDING", "probe") as program:
        await until_true(lambda: some(pbx.bridges()), "the probe is under way")
        await program.die()
    await pbx.program()
    await pbx.empty()


async def some(listing: Awaitable[list[str]]) -> bool:
    return bool(await listing)
