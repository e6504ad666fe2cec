"""Somebody is rung by a program, and the way to Asterisk breaks, or the program does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge import ActiveCall, CallState, Client
from bridge.lab.fake_ari import Answer, FakeAri, Fault
from bridge.lab.waiting import until
from bridge.model.errors import (
    BadArgumentError,
    CallerGoneError,
    ConnectFailedError,
    ErrorCode,
    InvalidStateError,
    ServerError,
    ServerUnreachableError,
)
from bridge.runtime.engine import CallEngine
from bridge.runtime.names import new_call_id
from bridge.runtime.seat import Rung


@asynccontextmanager
async def stage() -> AsyncIterator[tuple[FakeAri, Client]]:
    """A fake whose phone 1003 rings until it is told otherwise, and a client."""
    async with FakeAri() as fake:
        fake.world.phones["1003"].answer = Answer.RING
        async with client_of(fake) as client:
            yield fake, client
        await until(lambda: not fake.remains(), "nothing is left")
        assert fake.world.violations == []


def client_of(fake: FakeAri) -> Client:
    return Client(fake.url, fake.username, fake.password, sample_rate=16000, probe=False)


async def ringing(fake: FakeAri, client: Client) -> tuple[asyncio.Task[ActiveCall], str]:
    """Begin to ring 1003; return the attempt, and the id of his channel."""
    attempt = asyncio.create_task(client.originate("1003"))
    await until(lambda: bool(legs(fake)), "he is rung")
    return attempt, legs(fake)[0]


def legs(fake: FakeAri) -> list[str]:
    return [i for i, c in fake.world.channels.items() if "leg.caller" in i and c.state == "Ringing"]


async def settled(client: Client) -> None:
    """Wait until what was asked for before is answered, and what follows from it is asked for."""
    for _ in range(3):
        await client.channels()


async def test_labels_are_there_from_the_beginning() -> None:
    async with stage() as (fake, client):
        fake.world.phones["1004"].answer = Answer.ANSWER
        call = await client.originate_labelled("1004", {"campaign": "17"})
        assert (dict(call.labels), call.originated) == ({"campaign": "17"}, True)
        await call.disconnect()
        with pytest.raises(BadArgumentError):
            await client.originate_labelled("1003", {"campaign": "x" * 1001})
        assert legs(fake) == []


async def test_he_answers_while_no_event_comes() -> None:
    async with stage() as (fake, client):
        attempt, leg = await ringing(fake, client)
        fake.drop_sockets()
        fake.channel_answers(leg)
        call = await asyncio.wait_for(attempt, 5)
        assert call.state is CallState.ANSWERED
        await call.disconnect()


async def test_he_is_gone_when_events_come_again() -> None:
    async with stage() as (fake, client):
        attempt, leg = await ringing(fake, client)
        fake.drop_sockets()
        fake.channel_refuses(leg)
        with pytest.raises(ConnectFailedError) as caught:
            await asyncio.wait_for(attempt, 5)
        assert caught.value.error_code is ErrorCode.CALL_FAILED
        assert client.calls == ()


async def test_he_rings_on_through_a_break() -> None:
    async with stage() as (fake, client):
        attempt, leg = await ringing(fake, client)
        looked = fake.count("GET", "bridges")
        fake.drop_sockets("callbridge")
        await until(lambda: fake.count("GET", "bridges") > looked, "what stands is looked at")
        await settled(client)
        assert leg in fake.world.channels
        fake.channel_answers(leg)
        call = await asyncio.wait_for(attempt, 5)
        await call.disconnect()


async def test_asterisk_begins_anew() -> None:
    async with stage() as (fake, client):
        attempt, _ = await ringing(fake, client)
        fake.restart()
        with pytest.raises((ServerUnreachableError, ConnectFailedError)):
            await asyncio.wait_for(attempt, 5)
        assert client.calls == ()


async def test_what_a_dead_program_was_ringing_is_hung_up_by_the_next() -> None:
    async with stage() as (fake, client):
        attempt, leg = await ringing(fake, client)
        # As a program that is killed: no word of it reaches Asterisk any more.
        controller = client._connected()
        controller.originations._ringing.clear()
        async with client_of(fake):
            await until(lambda: leg not in fake.world.channels, "nobody rings him any more")
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)


@pytest.mark.parametrize("method", ["channels/create", r"channels/[^/]+/dial"])
@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.DROP_BEFORE, Fault.REFUSE])
async def test_a_request_fails(method: str, fault: Fault) -> None:
    async with stage() as (fake, client):
        if fault is Fault.REFUSE:
            fake.failures.refuse("POST", method)
        else:
            fake.failures.drop("POST", method, carried_out=fault is Fault.DROP_AFTER)
        with pytest.raises((ServerError, ConnectFailedError)):
            await asyncio.wait_for(client.originate("1003"), 10)
        assert client.calls == ()


async def test_he_hangs_up_as_he_is_answered() -> None:
    async with stage() as (fake, client):
        fake.failures.delay("POST", r"channels/[^/]+/answer", 0.2)
        attempt, leg = await ringing(fake, client)
        fake.channel_answers(leg)
        await until(lambda: bool(client.calls), "there is a call")
        fake.channel_hangs_up(leg)
        with pytest.raises(CallerGoneError):
            await asyncio.wait_for(attempt, 5)
        await until(lambda: not client.calls, "it is over")


async def test_the_client_leaves_before_anybody_was_rung() -> None:
    async with stage() as (fake, client):
        attempt = asyncio.create_task(client.originate("1003"))
        await asyncio.sleep(0)
        await client.disconnect()
        with pytest.raises(InvalidStateError):
            await attempt
        assert fake.count("POST", "channels/create") == 0


async def test_nobody_takes_him() -> None:
    async with stage() as (fake, client):
        fake.world.phones["1004"].answer = Answer.ANSWER
        originations = client._connected().originations

        def broken(_engine: CallEngine) -> None:
            raise RuntimeError("no room")

        ringing = originations.ring(
            new_call_id(), Rung("PJSIP/1004", 5), number="1004", on_call=broken
        )
        with pytest.raises(RuntimeError, match="no room"):
            await asyncio.wait_for(ringing, 5)
        await until(lambda: not fake.remains(), "he is let go")
        assert originations.ids == frozenset()
