"""Events that come twice, late or never: a call begins once, ends once, and nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bridge import AudioMode, CallState, Client, EndReason, events
from bridge.ari.generated.events import AnyMessage
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.participants import CALLEE
from tests.support.pbx import CALLEE_TONE, DirectCall, Pbx, Program, mode_of, state_of

Deliver = Callable[[AnyMessage], None]


def twice(deliver: Deliver) -> Deliver:
    def on_event(event: AnyMessage) -> None:
        deliver(event)
        deliver(event)

    return on_event


def again_later(deliver: Deliver) -> Deliver:
    def on_event(event: AnyMessage) -> None:
        deliver(event)
        asyncio.get_running_loop().call_later(0.03, deliver, event)

    return on_event


def slowly(deliver: Deliver) -> Deliver:
    def on_event(event: AnyMessage) -> None:
        asyncio.get_running_loop().call_later(0.03, deliver, event)

    return on_event


WAYS = {"twice": twice, "again later": again_later, "slowly": slowly}


@pytest.fixture(params=list(WAYS))
async def direct(pbx: Pbx, request: pytest.FixtureRequest) -> DirectCall:
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    controller = program.client._controller
    assert controller is not None
    controller.ari._on_event = WAYS[request.param](controller._dispatch)
    party = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=None))
    call = await program.next_call()
    assert program.calls.empty()
    return DirectCall(pbx, call, party, callee_tone=CALLEE_TONE)


@pytest.mark.asterisk
@pytest.mark.parametrize("end", ["caller", "callee", "disconnect", "close"])
async def test_a_life(direct: DirectCall, end: str) -> None:
    call = direct.call
    told: list[EndReason | None] = []
    call.on(events.CALL_TERMINATED, lambda: told.append(call.end_reason))
    await call.answer()
    callee = await direct.connect()
    await call.whisper()
    assert mode_of(call) == (AudioMode.WHISPER, {"callee"})
    match end:
        case "caller":
            await direct.caller.hangup()
            reason = EndReason.CALLER_HUNG_UP
        case "callee":
            await callee.hangup()
            reason = EndReason.CALLEE_HUNG_UP
        case "disconnect":
            await call.disconnect()
            reason = EndReason.AGENT_ENDED
        case _:
            await call.close()
            reason = EndReason.AGENT_LEFT
            assert not callee.closed
            await callee.hangup()
    async with asyncio.timeout(10):
        assert await call.wait_ended() is reason
    await callee.wait_closed()
    await direct.caller.wait_closed()
    await direct.pbx.empty()
    assert told == [reason]


@pytest.mark.asterisk
async def test_a_callee_who_went_and_one_who_came(direct: DirectCall) -> None:
    call = direct.call
    await call.answer()
    for _ in range(2):
        connecting = asyncio.create_task(call.connect())
        leg = await direct.pbx.callee_leg(call)
        await until(lambda: call._engine._diallings[CALLEE]._watch, "he is being rung")
        await call._engine._ari.channels.hangup(channel_id=leg, reason_code="17")
        outcome = (await asyncio.gather(connecting, return_exceptions=True))[0]
        assert getattr(outcome, "error_code", None) == "CALL_BUSY"
    await direct.connect()
    assert state_of(call) is CallState.CONNECTED
    await call.disconnect()


# --- on a server that loses what a real one does not ---------------------------------------------


@pytest.fixture
async def fake() -> AsyncIterator[FakeAri]:
    async with FakeAri() as made:
        yield made


@pytest.fixture
async def program(fake: FakeAri) -> AsyncIterator[Program]:
    before = asyncio.all_tasks()
    client = Client(fake.url, fake.username, fake.password, sample_rate=16000, probe=False)
    made = Program(client)
    client.on(events.INCOMING_CALL, made.calls.put_nowait)
    async with client:
        yield made
    await until(lambda: asyncio.all_tasks() - before <= {asyncio.current_task()}, "no task is left")


async def test_one_arrival_told_twice_is_one_call(fake: FakeAri, program: Program) -> None:
    fake.failures.double("StasisStart", times=3)
    first = fake.incoming_call()
    await program.next_call()
    fake.incoming_call(number="1003")
    assert (await program.next_call()).callee_number == "1003"
    assert len(program.client.calls) == 2
    fake.channel_hangs_up(first.id)
    await until(lambda: len(program.client.calls) == 1, "one is left")
    assert program.calls.empty()


async def test_an_arrival_that_is_lost_is_found_when_the_link_returns(
    fake: FakeAri, program: Program
) -> None:
    fake.failures.lose("StasisStart")
    fake.incoming_call()
    fake.drop_sockets()
    call = await program.next_call()
    assert (call.caller_number, call.callee_number) == ("1001", "1002")
    assert state_of(call) is CallState.PENDING
    assert program.calls.empty()


async def test_a_storm_of_drops_begins_no_call_twice(fake: FakeAri, program: Program) -> None:
    channels = [fake.incoming_call(number=str(1002 + n)) for n in range(3)]
    calls = [await program.next_call() for _ in channels]
    connections = len([r for r in fake.received if r.resource == "channels"])
    for _ in range(10):
        await until(lambda: fake.applications, "the client is back")
        fake.drop_sockets()
    await until(lambda: fake.applications, "the client is back")
    await until(
        lambda: len([r for r in fake.received if r.resource == "channels"]) > connections,
        "it has looked",
    )
    assert program.calls.empty()
    assert set(program.client.calls) == set(calls)
    for channel in channels:
        fake.channel_hangs_up(channel.id)
    await until(lambda: not program.client.calls, "all have ended")


async def test_an_end_that_is_lost_is_found_when_the_link_returns(
    fake: FakeAri, program: Program
) -> None:
    channel = fake.incoming_call()
    call = await program.next_call()
    for event in ("StasisEnd", "ChannelHangupRequest", "ChannelDestroyed"):
        fake.failures.lose(event)
    fake.channel_hangs_up(channel.id)
    fake.drop_sockets()
    async with asyncio.timeout(10):
        assert await call.wait_ended() is EndReason.CALLER_HUNG_UP
    assert program.client.calls == ()
