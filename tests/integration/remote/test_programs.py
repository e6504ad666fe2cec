"""Several programs, and one that vanishes: who gets which call, and what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge import ActiveCall, CallRoute, CallState, Client, EndReason, errors, events
from bridge.api.programs import leases
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.waiting import until
from bridge.sdk.remote import RemoteClient
from bridge.sdk.remote import client as remote
from bridge.sdk.remote.call import RemoteCall
from tests.integration.restart.program import RATE
from tests.integration.sdk.test_originate import leg_of, originated
from tests.support.conference import Conference, everyone
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, DirectCall, Program, state_of
from tests.support.remote import RemotePbx

pytestmark = pytest.mark.asterisk


async def vanish(client: Client) -> None:
    """Let a program be gone at once, as one that was killed."""
    assert isinstance(client, RemoteClient)
    await client._program.close()
    await client._watch.close()
    await client._http.close()


async def dial(pbx: RemotePbx, number: str = "1002") -> DirectParty:
    """Let somebody call."""
    return await pbx.keep(DirectParty.call(pbx.instance.info.ari, number, tone=CALLER_TONE))


def program_of(program: Program) -> str:
    assert isinstance(program.client, RemoteClient)
    return program.client._program.name


async def talking(pbx: RemotePbx, **arguments: Any) -> tuple[Program, DirectCall]:
    """Start a program, and let it put two together."""
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT, **arguments)
    caller = await dial(pbx)
    direct = DirectCall(pbx, await program.next_call(), caller, callee_tone=CALLEE_TONE)
    await direct.call.answer()
    await direct.connect()
    return program, direct


@asynccontextmanager
async def standing_by(pbx: RemotePbx, **arguments: Any) -> AsyncIterator[list[ActiveCall]]:
    """Start a process of a program that has one already; yield the calls that it takes over."""
    client = await pbx.client(sample_rate=RATE, **arguments)
    taken: list[ActiveCall] = []
    client.on(events.CALL_RESUMED, taken.append)
    client.on(events.INCOMING_CALL, taken.append)
    async with client:
        assert isinstance(client, RemoteClient)
        assert not client.is_active
        yield taken


def both_hear(pbx: RemotePbx, direct: DirectCall) -> Conference:
    assert direct.callee is not None
    return Conference.heard_only(pbx, {"caller": direct.caller, "callee": direct.callee})


async def test_who_stands_by_takes_over_at_once(pbx: RemotePbx) -> None:
    program, direct = await talking(pbx, lease_seconds=30.0)
    async with standing_by(pbx) as taken:
        assert taken == []
        gone_at = time.monotonic()
        await vanish(program.client)
        await until(lambda: bool(taken), "the call is taken over")
        assert time.monotonic() - gone_at < 2.0
        [call] = taken
        assert call.call_id == direct.call.call_id
        assert state_of(call) is CallState.CONNECTED
        await both_hear(pbx, direct).parties_hear(everyone("caller", "callee"))
        await call.disconnect()
        await direct.caller.wait_closed()


async def test_who_stands_by_elsewhere_waits_for_the_end_of_the_lease(
    pbx: RemotePbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, direct = await talking(pbx, lease_seconds=0.7)
    monkeypatch.setattr(remote, "instance_name", lambda: "another host")
    async with standing_by(pbx) as taken:
        gone_at = time.monotonic()
        await vanish(program.client)
        await until(lambda: bool(taken), "the call is taken over")
        assert 0.6 < time.monotonic() - gone_at < 2.5
        await taken[0].disconnect()
        await direct.caller.wait_closed()


async def test_parties_go_on_when_nobody_takes_over(pbx: RemotePbx) -> None:
    program, direct = await talking(pbx, lease_seconds=0.5)
    await direct.call.send_audio(bytes(320_000))
    api = await pbx.daemon()
    await vanish(program.client)
    await until(lambda: not api.client.calls, "the agent has left")
    await both_hear(pbx, direct).parties_hear(everyone("caller", "callee"))
    await direct.caller.hangup()


async def test_a_caller_alone_is_hung_up_when_nobody_takes_over(pbx: RemotePbx) -> None:
    program = await pbx.program(lease_seconds=0.5)
    caller = await dial(pbx)
    await (await program.next_call()).answer()
    await vanish(program.client)
    await caller.wait_closed()


async def test_all_are_hung_up_when_the_program_wants_that(pbx: RemotePbx) -> None:
    program, direct = await talking(pbx, lease_seconds=0.5, when_gone="hang_up")
    await vanish(program.client)
    await direct.caller.wait_closed()
    assert direct.callee is not None
    await direct.callee.wait_closed()


async def test_who_was_not_answered_is_offered_to_another(pbx: RemotePbx) -> None:
    first = await pbx.program(program="first", lease_seconds=0.5, routes=["1002"])
    second = await pbx.program(program="second")
    caller = await dial(pbx)
    await first.next_call()
    assert second.calls.empty()
    await vanish(first.client)
    call = await second.next_call()
    await call.answer()
    await call.disconnect()
    await caller.wait_closed()


async def test_the_most_specific_route_has_the_call(pbx: RemotePbx) -> None:
    everything = await pbx.program(program="everything")
    some = await pbx.program(program="some", routes=["10*"])
    one = await pbx.program(program="one", routes=[CallRoute(dialled="1002"), "1005"])
    for number, meant in (("1002", one), ("1003", some), ("1005", one), ("7777", everything)):
        caller = await dial(pbx, number)
        call = await meant.next_call()
        assert call.callee_number == number
        assert isinstance(call, RemoteCall)
        assert call.view.program == program_of(meant)
        await call.disconnect()
        await caller.wait_closed()
    assert all(program.calls.empty() for program in (everything, some, one))


async def test_a_program_without_a_handler_is_offered_nothing(pbx: RemotePbx) -> None:
    client = await pbx.client(program="later")
    calls: list[ActiveCall] = []
    async with client:
        caller = await dial(pbx)
        api = await pbx.daemon()
        await until(lambda: bool(api.client.calls), "the daemon has the call")
        client.on(events.INCOMING_CALL, calls.append)
        await until(lambda: bool(calls), "it is handed over to who listens now")
        await calls[0].disconnect()
        await caller.wait_closed()


async def test_who_does_not_accept_in_time_is_passed_over(
    pbx: RemotePbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "OFFER_SECONDS", 1.0)
    mute = await pbx.program(program="mute", routes=["1002"])
    assert isinstance(mute.client, RemoteClient)

    async def says_nothing(_call_id: str) -> None: ...

    monkeypatch.setattr(mute.client._program, "_accept", says_nothing)
    other = await pbx.program(program="other")
    caller = await dial(pbx)
    call = await other.next_call()
    assert mute.calls.empty()
    await call.disconnect()
    await caller.wait_closed()


async def test_nobody_there_is_hung_up_after_a_while(pbx: RemotePbx) -> None:
    api = await pbx.daemon()
    api.service.programs._leases._wait_seconds = 0.3
    caller = await dial(pbx)
    await caller.wait_closed()


async def test_who_is_rung_for_a_program_comes_in_and_whom_it_rings_itself_does_not(
    pbx: RemotePbx,
) -> None:
    program, api = await pbx.program(), await pbx.daemon()
    body = {"to": CALLEE_ENDPOINT, "program": program_of(program)}
    asking = asyncio.create_task(api.done("POST", "/calls", body))
    leg = await leg_of(pbx)
    party = await pbx.keep(DirectParty.answer(pbx.instance.info.ari, leg, tone=None))
    call = await program.next_call()
    assert call.call_id == (await asking)["call_id"]
    assert (call.originated, state_of(call)) == (True, CallState.ANSWERED)
    await call.disconnect()
    await party.wait_closed()
    own, party = await originated(pbx, program)
    assert program.client.calls == (own,)
    await own.disconnect()
    await party.wait_closed()
    assert program.calls.empty()


async def test_another_tenants_program_never_has_the_call(pbx: RemotePbx) -> None:
    api = await pbx.daemon()
    foreign = Client(url=api.url, key=api.keys["foreign-program"], program="foreign")
    calls: list[ActiveCall] = []
    foreign.on(events.INCOMING_CALL, calls.append)
    async with foreign:
        caller = await dial(pbx)
        await until(lambda: bool(api.client.calls), "the daemon has the call")
        own = await pbx.program()
        call = await own.next_call()
        assert calls == []
        assert await foreign.live_calls() == ()
        assert foreign.get_call(call.call_id) is None
        await call.disconnect()
        await caller.wait_closed()


async def test_a_break_of_the_socket_costs_nothing(pbx: RemotePbx) -> None:
    program, direct = await talking(pbx, lease_seconds=5.0)
    told: list[str] = []
    direct.call.on(events.CALL_TERMINATED, lambda: told.append("over"))
    program.client.on(events.CALL_RESUMED, lambda: told.append("resumed"))
    assert isinstance(program.client, RemoteClient)
    wire = program.client._program._wire
    assert wire._socket is not None
    await wire._socket.close()
    await until(lambda: wire.is_open, "it is opened again")
    assert program.client.calls == (direct.call,)
    await direct.call.whisper("callee")
    await direct.caller.hangup()
    assert await direct.call.wait_ended() is EndReason.CALLER_HUNG_UP
    await asyncio.sleep(0)
    assert told == ["over"]


async def test_a_long_break_is_the_end_of_its_calls(
    pbx: RemotePbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, direct = await talking(pbx, lease_seconds=0.5)
    client = program.client
    assert isinstance(client, RemoteClient)
    told: list[str] = []
    client.on(events.SERVER_LOST, lambda _why: told.append("lost"))
    client.on(events.SERVER_BACK, lambda: told.append("back"))

    async def unreachable(_path: str, **_query: str) -> None:
        raise errors.ServerUnreachableError("cut")

    with monkeypatch.context() as cut:
        cut.setattr(client.http, "socket", unreachable)
        wire = client._program._wire
        assert wire._socket is not None
        await wire._socket.close()
        assert await direct.call.wait_ended() is EndReason.SERVER_LOST
        await until(lambda: told == ["lost"], "the server is lost")
        assert client.calls == ()
        with pytest.raises(errors.CallClosedError):
            await direct.call.spy()
    await until(lambda: told == ["lost", "back"], "the server is back")
    await both_hear(pbx, direct).parties_hear(everyone("caller", "callee"))
    await direct.caller.hangup()
    # And calls are taken as before.
    caller = await dial(pbx)
    call = await program.next_call()
    await call.disconnect()
    await caller.wait_closed()
