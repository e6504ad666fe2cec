"""Asterisk dies: every call ends, every command is answered, and a new Asterisk is taken up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from bridge import AudioMode, CallState, EndReason, events
from bridge.lab.ears import DirectParty
from bridge.lab.waiting import until
from bridge.model.errors import CallClosedError, ServerError
from tests.support.pbx import DirectCall, Pbx, Program, mode_of, state_of

pytestmark = pytest.mark.asterisk

FIVE_SECONDS = bytes(5 * 16000 * 2)


async def bring_to(direct: DirectCall, state: str) -> list[asyncio.Task[None]]:
    """Bring a call to a state; return the commands that wait in it."""
    call = direct.call

    def waiting(*commands: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(command) for command in commands]

    match state:
        case "PENDING":
            return []
        case "ANSWERED":
            await call.answer()
            return []
        case "callee rings":
            await call.answer()
            tasks = waiting(call.connect())
            await direct.pbx.callee_leg(call)
            return tasks
        case "CONNECTED":
            await direct.connect()
            await call.whisper()
            await call.send_audio(FIVE_SECONDS)
            return []
        case "mode change":
            await direct.connect()
            await call.send_audio(FIVE_SECONDS)
            tasks = waiting(call.spy(), call.whisper())
            await until(lambda: len(call._engine.session.turnings) == 2, "they are under way")
            return tasks
        case "closing":
            await direct.connect()
            await call.send_audio(FIVE_SECONDS)
            tasks = waiting(call.close())
            await until(lambda: not call._engine.session.takes_audio, "it is under way")
            return tasks
        case "closed":
            await direct.connect()
            await call.close()
            return []
    raise ValueError(state)


@pytest.mark.parametrize(
    "state",
    ["PENDING", "ANSWERED", "callee rings", "CONNECTED", "mode change", "closing", "closed"],
)
async def test_killed(own_pbx: Pbx, state: str) -> None:
    direct = await own_pbx.direct_call()
    call = direct.call
    told: list[EndReason | None] = []
    call.on(events.CALL_TERMINATED, lambda: told.append(call.end_reason))
    tasks = await bring_to(direct, state)
    stream = call.audio_stream() if state_of(call) is not CallState.PENDING else None
    await asyncio.to_thread(own_pbx.instance.kill)
    async with asyncio.timeout(10):
        reason = await call.wait_ended()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert reason is (EndReason.AGENT_LEFT if state == "closed" else EndReason.SERVER_LOST)
    await until(lambda: told == [reason], "CALL_TERMINATED, once")
    for result in results:
        if state == "closing":
            assert result is None
        else:
            assert isinstance(result, ServerError), repr(result)
    if stream is not None:
        async with asyncio.timeout(5):
            async for _ in stream:
                pass
    assert state_of(call) is CallState.DISCONNECTED
    assert mode_of(call) == (AudioMode.SPY, set())
    with pytest.raises(CallClosedError):
        await call.answer()
    assert not call._agent.alive


async def test_a_command_on_its_way(own_pbx: Pbx) -> None:
    direct = await own_pbx.direct_call()
    answering = asyncio.create_task(direct.call.answer())
    await asyncio.to_thread(own_pbx.instance.kill)
    result = (await asyncio.gather(answering, return_exceptions=True))[0]
    assert result is None or isinstance(result, ServerError)
    async with asyncio.timeout(10):
        assert await direct.call.wait_ended() is EndReason.SERVER_LOST


async def test_commands_while_it_is_down_raise_and_the_client_leaves(own_pbx: Pbx) -> None:
    program = await own_pbx.program()
    ari = own_pbx.instance.info.ari
    await own_pbx.keep(DirectParty.call(ari, "1002", tone=None))
    call = await program.next_call()
    await asyncio.to_thread(own_pbx.instance.kill)
    with pytest.raises(ServerError):
        await call.answer()
    with pytest.raises(ServerError):
        await call.connect()
    await program.client.disconnect()
    assert state_of(call) is CallState.DISCONNECTED
    assert program.client.calls == ()


async def test_a_new_asterisk_is_taken_up_by_the_same_client(own_pbx: Pbx) -> None:
    program: Program = await own_pbx.program()
    ari = own_pbx.instance.info.ari
    party = await own_pbx.keep(DirectParty.call(ari, "1002", tone=None))
    call = await program.next_call()
    await call.answer()
    await asyncio.to_thread(own_pbx.instance.kill)
    await asyncio.to_thread(own_pbx.instance.restart)
    async with asyncio.timeout(10):
        assert await call.wait_ended() is EndReason.SERVER_LOST
    assert party.closed
    controller = program.client._controller
    assert controller is not None
    # It tries every three seconds at least.
    await until(lambda: controller.ari.state.is_up, "the link is up", within_s=15)
    await own_pbx.keep(DirectParty.call(ari, "1003", tone=None))
    call = await program.next_call()
    assert call.callee_number == "1003"
    await call.answer()
    assert state_of(call) is CallState.ANSWERED
    await call.disconnect()
