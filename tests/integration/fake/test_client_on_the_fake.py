"""A whole client on the fake server: its own calls, others' calls, people on phones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge import ActiveCall, CallState, Client, EndReason, events
from bridge.ari import AriConnection, AriSettings
from bridge.lab.fake_ari import Answer, FakeAri, FakeCall, run_hurried
from bridge.lab.waiting import until
from bridge.model.ids import CallId
from bridge.runtime.names import Names
from bridge.topology.objects import CALL_BRIDGE

LIVES = 50


@asynccontextmanager
async def stage() -> AsyncIterator[tuple[FakeAri, Client, asyncio.Queue[ActiveCall]]]:
    """A fake and a client on it, and the calls that the client is given."""
    async with FakeAri() as fake:
        client = Client(fake.url, fake.username, fake.password, sample_rate=16000, probe=False)
        calls: asyncio.Queue[ActiveCall] = asyncio.Queue()
        client.on(events.INCOMING_CALL, calls.put_nowait)
        async with client:
            yield fake, client, calls
        await until(lambda: not fake.remains(), "nothing is left")
        assert fake.world.violations == []


def voices(fake: FakeAri) -> dict[str, dict[str, int]]:
    """Who hears whom, by the keys of callbridge's ids or the numbers of others."""
    channels = fake.world.channels

    def word(identity: str) -> str:
        parts = identity.split("-")
        return parts[2] if len(parts) > 2 else channels[identity].caller

    return {
        word(listener): {word(who): ways for who, ways in heard.items()}
        for listener, heard in fake.hearing().items()
    }


def both(media: str) -> dict[str, dict[str, int]]:
    """What an observer's two lines hear."""
    return {f"media.{media}.caller": {"1001": 1}, f"media.{media}.callee": {"leg.callee": 1}}


async def test_the_life_of_a_call() -> None:
    async with stage() as (fake, _, calls):
        channel = fake.incoming_call()
        call = await calls.get()
        await call.answer()
        await call.connect()
        assert call.state is CallState.CONNECTED
        talk = {"1001": {"leg.callee": 1}, "leg.callee": {"1001": 1}}
        await call.spy()
        assert voices(fake) == {**talk, **both("ai")}
        await call.whisper()
        coached = {"1001": 1, "media.ai.callee": 1}
        assert voices(fake) == {**talk, "leg.callee": coached, **both("ai")}
        await call.barge()
        joined = {"leg.callee": 1, "media.ai.caller": 1}
        assert voices(fake) == {"1001": joined, "leg.callee": coached, **both("ai")}
        await call.disconnect()
        assert await call.wait_ended() is EndReason.AGENT_ENDED
        await until(lambda: channel.id not in fake.remains(), "the caller is hung up")


async def foreign(fake: FakeAri) -> FakeCall:
    call = fake.place_call()
    await until(lambda: call.bridge is not None, "both talk")
    return call


async def test_others_are_observed_by_program_and_by_phone() -> None:
    async with stage() as (fake, client, _):
        call = await foreign(fake)
        program = await client.observe("1002", "program")
        person = await client.observe("1002", "person", phone="1005")
        quiet = voices(fake)
        assert quiet["1001"] == {"1002": 1}
        assert quiet["1002"] == {"1001": 1}
        assert quiet["leg.person"] == {"1001": 1, "1002": 1}
        await program.barge()
        await person.whisper("caller")
        loud = voices(fake)
        assert loud["1001"] == {"1002": 1, "media.program.caller": 1, "leg.person": 1}
        assert loud["1002"] == {"1001": 1, "media.program.callee": 1}
        assert loud["leg.person"] == {"1001": 1, "1002": 1, "media.program.person": 1}
        await program.leave()
        await person.leave()
        assert voices(fake)["1001"] == {"1002": 1}
        fake.channel_hangs_up(call.caller.id)
        await until(lambda: not fake.remains(), "all is over")


async def test_an_observer_stays_when_a_call_is_transferred() -> None:
    async with stage() as (fake, client, _):
        call = await foreign(fake)
        observer = await client.observe("1001")
        assert call.callee is not None
        fake.channel_transfers(call.callee.id, "1003")
        await until(
            lambda: (
                voices(fake).get("1001") == {"1003": 1}
                and {"1003": 1} in [h for w, h in voices(fake).items() if w.startswith("media")]
            ),
            "the new party is spied on",
        )
        assert observer.left is None
        await observer.leave()
        fake.channel_hangs_up(call.caller.id)
        await until(lambda: not fake.remains(), "all is over")


async def test_a_callee_who_is_told_to_be_busy() -> None:
    async with stage() as (fake, _, calls):
        fake.world.phones["1002"].answer = Answer.RING
        fake.incoming_call()
        call = await calls.get()
        await call.answer()
        connecting = asyncio.create_task(call.connect())

        def rung() -> list[str]:
            return [c.id for c in fake.world.channels.values() if c.state == "Ringing"]

        await until(rung, "he is rung")
        fake.channel_refuses(rung()[0])
        (outcome,) = await asyncio.gather(connecting, return_exceptions=True)
        assert getattr(outcome, "error_code", None) == "CALL_BUSY"
        await call.disconnect()


def test_waiting_takes_no_time() -> None:
    async def main() -> float:
        async with stage() as (fake, _, calls):
            loop = asyncio.get_running_loop()
            begin = loop.time()
            for _life in range(LIVES):
                fake.incoming_call()
                call = await calls.get()
                await call.answer()
                await call.connect()
                await asyncio.sleep(60)
                await call.disconnect()
                await call.wait_ended()
            return loop.time() - begin

    begin = time.monotonic()
    passed = run_hurried(main())
    assert passed > LIVES * 60
    assert time.monotonic() - begin < LIVES


async def test_who_is_parked_as_the_client_leaves_waits_for_the_next_one() -> None:
    async with FakeAri() as fake:

        def client_of(told: asyncio.Queue[ActiveCall]) -> Client:
            client = Client(fake.url, fake.username, fake.password, sample_rate=16000, probe=False)
            client.on(events.INCOMING_CALL, told.put_nowait)
            client.on(events.CALL_RESUMED, told.put_nowait)
            return client

        calls: asyncio.Queue[ActiveCall] = asyncio.Queue()
        async with client_of(calls):
            channel = fake.incoming_call()
            call = await calls.get()
            await call.answer()
            slot = await call.park()
        assert channel.id in fake.world.channels
        async with client_of(calls) as client:
            await until(lambda: client.parked, "he waits")
            assert [parked.slot for parked in client.parked] == [slot]
            fake.channel_hangs_up(channel.id)
        await until(lambda: not fake.remains(), "nothing is left")
        assert fake.world.violations == []


async def test_what_is_left_over_is_found_though_asterisk_does_not_tell_at_first() -> None:
    left = Names("callbridge").fresh(CallId("0123456789ab"), CALL_BRIDGE)
    async with stage() as (fake, _, _):
        settings = AriSettings(fake.url, fake.username, fake.password, application="other")
        other = AriConnection(settings, on_event=lambda _: None)
        await other.open()
        await other.bridges.create_with_id(bridge_id=left, type="mixing")
        await other.close()
        fake.failures.refuse("GET", "channels", times=2)
        fake.drop_sockets()
        await until(lambda: left not in fake.remains(), "it is removed", within_s=30)
