"""Handlers of the program: what they do wrong is theirs, and what comes late is heard."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from bridge import ActiveCall, CallState, EndReason, events
from bridge.lab.ears import DirectParty
from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError
from bridge.sdk import client as client_module
from bridge.sdk import handlers as handlers_module
from bridge.sdk.client import Client
from tests.support.pbx import Pbx, state_of

pytestmark = pytest.mark.asterisk


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "HANDLER_SECONDS", 0.3)
    monkeypatch.setattr(handlers_module, "_CANCEL_SECONDS", 0.3)


async def dial(pbx: Pbx) -> DirectParty:
    return await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=None))


async def test_one_that_raises(pbx: Pbx, caplog: pytest.LogCaptureFixture) -> None:
    program = await pbx.program()

    @program.client.on(events.INCOMING_CALL)
    def plain(_call: ActiveCall) -> None:
        raise LookupError("no such customer")

    @program.client.on(events.CALL_ANSWERED)
    async def waits(_call: ActiveCall) -> None:
        raise LookupError("nor this one")

    await dial(pbx)
    call = await program.next_call()
    await call.answer()
    await until(lambda: caplog.text.count("the call goes on") == 2, "both are logged")
    assert "no such customer" in caplog.text
    assert "nor this one" in caplog.text
    assert state_of(call) is CallState.ANSWERED
    await dial(pbx)
    second = await program.next_call()
    await second.disconnect()
    await call.disconnect()


async def test_the_only_one_that_raises_does_not_leave_its_caller_behind(
    pbx: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    ari = pbx.instance.info.ari
    async with Client(ari.url, ari.username, ari.password, probe=False) as client:

        @client.on(events.INCOMING_CALL)
        async def fails(call: ActiveCall) -> None:
            await call.answer()
            raise LookupError("the speech service is down")

        caller = await dial(pbx)
        await caller.wait_closed()
        await until(lambda: not client.calls, "the call has ended")
    assert "the caller is let go" in caplog.text


async def test_one_that_never_returns(pbx: Pbx) -> None:
    program = await pbx.program()
    ends: list[str] = []

    @program.client.on(events.INCOMING_CALL)
    async def forever(_call: ActiveCall) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    caller = await dial(pbx)
    call = await program.next_call()
    await call.answer()
    async with asyncio.timeout(4):
        await program.client.disconnect()
    assert ends == ["cancelled"]
    assert call.end_reason is EndReason.AGENT_ENDED
    await caller.wait_closed()


async def test_one_that_does_not_let_itself_be_cancelled(
    pbx: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    program = await pbx.program()
    release = asyncio.Event()

    @program.client.on(events.INCOMING_CALL)
    async def stubborn(_call: ActiveCall) -> None:
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    await dial(pbx)
    await program.next_call()
    async with asyncio.timeout(4):
        await program.client.disconnect()
    assert "ignores its cancellation" in caplog.text
    release.set()


async def test_one_that_leaves_the_client(pbx: Pbx) -> None:
    program = await pbx.program()
    left = asyncio.Event()

    @program.client.on(events.INCOMING_CALL)
    async def leave(call: ActiveCall) -> None:
        await call.answer()
        await program.client.disconnect()
        left.set()

    caller = await dial(pbx)
    async with asyncio.timeout(4):
        await left.wait()
    await caller.wait_closed()


async def test_one_that_ends_with_its_call_is_no_error(
    pbx: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bridge.sdk")
    direct = await pbx.direct_call()
    call = direct.call

    @call.on(events.CALL_ANSWERED)
    async def talk() -> None:
        await call.connect()

    @call.on(events.CALL_TERMINATED)
    async def late() -> None:
        await call.whisper()

    await call.answer()
    await pbx.callee_leg(call)
    await direct.caller.hangup()
    await call.wait_ended()
    await until(lambda: caplog.text.count("ended with the call") == 2, "both are told, quietly")
    # What Asterisk refuses of a caller who is gone is told by others.
    told = [one for one in caplog.records if one.name.startswith("bridge.sdk")]
    assert not [record for record in told if record.levelno >= logging.WARNING]


async def test_one_that_is_registered_after_the_call_came(pbx: Pbx) -> None:
    ari = pbx.instance.info.ari
    client = Client(ari.url, ari.username, ari.password, sample_rate=16000, probe=False)
    async with client:
        await dial(pbx)
        await dial(pbx)
        await until(lambda: len(client.calls) == 2, "both have come")
        taken: list[ActiveCall] = []
        client.on(events.INCOMING_CALL, taken.append)
        await until(lambda: len(taken) == 2, "both are handed over")
        client.on(events.INCOMING_CALL, taken.append)
        assert tuple(taken) == client.calls
        for call in taken:
            await call.disconnect()
    assert len(taken) == 2


async def test_a_call_that_ended_before_anybody_listened_is_not_handed_over(pbx: Pbx) -> None:
    ari = pbx.instance.info.ari
    client = Client(ari.url, ari.username, ari.password, sample_rate=16000, probe=False)
    async with client:
        caller = await dial(pbx)
        await until(lambda: client.calls, "he has come")
        await caller.hangup()
        await until(lambda: not client.calls, "he has gone")
        taken: list[ActiveCall] = []
        client.on(events.INCOMING_CALL, taken.append)
        await dial(pbx)
        await until(lambda: taken, "another has come")
        assert len(taken) == 1
        assert taken[0].end_reason is None


async def test_the_end_is_told_to_who_asks_late(pbx: Pbx) -> None:
    program = await pbx.program()
    await dial(pbx)
    call = await program.next_call()
    await call.disconnect()
    told: list[object] = []
    call.on(events.CALL_TERMINATED, lambda: told.append("plain"))

    @call.on(events.CALL_TERMINATED)
    async def waits(ended: ActiveCall) -> None:
        told.append(ended)

    await until(lambda: len(told) == 2, "both are told")
    assert told == ["plain", call]


async def test_an_event_that_does_not_exist(pbx: Pbx) -> None:
    program = await pbx.program()
    with pytest.raises(BadArgumentError, match="INCOMING_CALL"):
        program.client.on("INCOMING", lambda: None)
