"""What observers do at an unlucky moment, on the fake server: taken names, moves, takeovers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge import ActiveCall, Client, events
from bridge.lab.fake_ari import Answer, FakeAri, FakeCall
from bridge.lab.waiting import until
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    CapabilityError,
    InvalidStateError,
)
from bridge.session.observer.effects import LeftReason


@asynccontextmanager
async def stage(
    *, probe: bool = False, rest_over_websocket: bool = True
) -> AsyncIterator[tuple[FakeAri, Client, asyncio.Queue[ActiveCall]]]:
    """A fake and a client on it, and the calls that the client is given."""
    async with FakeAri(rest_over_websocket=rest_over_websocket) as fake:
        client = Client(fake.url, fake.username, fake.password, sample_rate=16000, probe=probe)
        calls: asyncio.Queue[ActiveCall] = asyncio.Queue()
        client.on(events.INCOMING_CALL, calls.put_nowait)
        async with client:
            yield fake, client, calls
        await until(lambda: not fake.applications, "no application is left")
        assert fake.world.violations == []


async def talking(fake: FakeAri, caller: str, callee: str) -> FakeCall:
    call = fake.place_call(caller, callee)
    await until(lambda: call.bridge is not None, "both talk")
    return call


async def connected(fake: FakeAri, calls: asyncio.Queue[ActiveCall]) -> ActiveCall:
    fake.incoming_call()
    call = await calls.get()
    await call.connect()
    return call


async def test_a_party_whose_leg_asterisk_would_not_hang_up_goes_a_moment_later() -> None:
    async with stage() as (fake, _client, calls):
        call = await connected(fake, calls)
        await call.add("1005", name="expert")

        def legs() -> list[str]:
            return [i for i in fake.world.channels if "leg.expert" in i]

        assert len(legs()) == 1
        fake.failures.refuse("DELETE", "channels/.*leg.expert.*", times=3)
        await call.remove("expert")
        await until(lambda: not legs(), "he is gone")
        await call.disconnect()


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["callee", "party3"])
async def test_a_name_that_a_party_may_get_is_refused(name: str) -> None:
    async with stage() as (fake, client, calls):
        fake.incoming_call()
        call = await calls.get()
        await call.answer()
        with pytest.raises(BadArgumentError, match=name):
            await client.observe(call, name)


async def test_a_party_is_not_called_like_an_observer() -> None:
    async with stage() as (fake, client, calls):
        call = await connected(fake, calls)
        await client.observe(call, "eve")
        with pytest.raises(BadArgumentError, match="eve"):
            await call.add("1005", name="eve")


async def test_an_observer_is_not_called_like_who_is_being_rung() -> None:
    async with stage() as (fake, client, calls):
        call = await connected(fake, calls)
        fake.world.phones["1005"].answer = Answer.RING
        adding = asyncio.create_task(call.add("1005", name="eve"))
        await until(lambda: len(call.parties) > 2, "he is rung")
        with pytest.raises(BadArgumentError, match="eve"):
            await client.observe(call, "eve")
        await call.remove("eve")
        await asyncio.gather(adding, return_exceptions=True)


async def test_of_two_of_one_name_on_calls_that_become_one_one_goes() -> None:
    async with stage() as (fake, client, _):
        one = await talking(fake, "1001", "1002")
        other = fake.place_call("1003", "1004")
        await until(lambda: other.bridge is not None, "both talk")
        calls = await client.live_calls()
        assert len(calls) == 2
        observers = [await client.observe(call, "eve") for call in calls]
        assert one.callee is not None
        fake.channel_transfers_to(one.callee.id, other.caller.id)
        await until(lambda: len({o.left for o in observers}) == 2, "one is let go")
        assert {o.left for o in observers} == {None, LeftReason.CALL_ENDED}


# --- whom the coached one is --------------------------------------------------------------------


async def test_on_the_next_call_the_callee_is_coached_again() -> None:
    async with stage() as (fake, client, _):
        await talking(fake, "1002", "1001")
        await talking(fake, "1003", "1004")
        observer = await client.observe("1002")
        await observer.whisper()
        assert observer.whispers_to == {"caller"}
        await observer.next()
        await observer.whisper()
        assert observer.whispers_to == {"callee"}
        await observer.move_to("1002")
        await observer.whisper()
        assert observer.whispers_to == {"caller"}


async def test_who_is_coached_is_followed_into_the_call_that_his_becomes_part_of() -> None:
    async with stage() as (fake, client, _):
        one = await talking(fake, "1002", "1001")
        other = await talking(fake, "1004", "1003")
        coaches = {
            number: await client.observe(number, f"of_{number}") for number in ("1002", "1004")
        }
        assert one.callee is not None
        assert other.callee is not None
        fake.channel_transfers_to(one.callee.id, other.callee.id)
        await until(lambda: len({c.call_id for c in coaches.values()}) == 1, "they are together")
        for number, coach in coaches.items():
            await coach.whisper()
            assert coach.call is not None
            assert coach.whispers_to == set(coach.call.meant_by(number))


async def test_what_cannot_be_heard_is_said_on_the_next_call_too() -> None:
    async with stage(probe=True) as (fake, client, calls):
        await until(lambda: client.capabilities.whisper_to_silent_leg is False, "it is measured")
        own = await connected(fake, calls)
        other = await talking(fake, "1003", "1004")
        assert other.callee is not None
        fake.phone_is_silent(other.callee.id)
        observer = await client.observe(own, "eve")
        await observer.move_to("1003")
        statistics = f"channels/{other.callee.id}/rtp_statistics"
        await until(lambda: fake.count("GET", statistics) > 2, "his audio is counted")
        with pytest.raises(CapabilityError, match="caller would not hear it"):
            await observer.whisper("caller")
        await observer.whisper("callee")


# --- takeovers ----------------------------------------------------------------------------------


async def test_who_moves_on_while_he_takes_over_leaves_nobody_silenced() -> None:
    async with stage() as (fake, client, calls):
        call = await connected(fake, calls)
        await talking(fake, "1003", "1004")
        observer = await client.observe(call, "eve", phone="1005")
        opening = fake.failures.delay("DELETE", "channels/.*/mute", seconds=0.1)
        taking = asyncio.create_task(observer.take_over("callee"))
        await until(lambda: opening.hits, "he is about to be heard")
        await observer.move_to("1003")
        with pytest.raises(InvalidStateError, match="another call"):
            await taking
        assert call.taken_over_by is None
        assert not any(p.muted for p in call.parties)


async def test_who_falls_silent_while_he_takes_over_leaves_nobody_silenced() -> None:
    async with stage() as (fake, client, calls):
        call = await connected(fake, calls)
        observer = await client.observe(call, "eve", phone="1005")
        muting = fake.failures.delay("POST", "channels/.*/mute", seconds=0.1)
        taking = asyncio.create_task(observer.take_over("callee"))
        await until(lambda: muting.hits, "the callee is about to be silenced")
        await observer.spy()
        await asyncio.gather(taking, return_exceptions=True)
        await until(lambda: call.taken_over_by is None, "nobody stands in")
        await until(lambda: not any(p.muted for p in call.parties), "the callee is heard")


@pytest.mark.parametrize("phone", [None, "1005"])
async def test_who_barged_on_another_call_is_heard_before_he_takes_over(phone: str | None) -> None:
    async with stage() as (fake, client, calls):
        call = await connected(fake, calls)
        await talking(fake, "1003", "1004")
        observer = await client.observe("1003", "eve", phone=phone)
        await observer.barge()
        moving = observer.move_to(call.call_id)
        taking = observer.take_over("callee", keep=False)
        await asyncio.gather(moving, taking, return_exceptions=True)
        assert (observer.mode == "barge") == (call.taken_over_by == "eve")


async def test_who_is_about_to_spy_does_not_silence_the_callee() -> None:
    async with stage() as (fake, client, calls):
        call = await connected(fake, calls)
        observer = await client.observe(call, "eve", phone="1005")
        await observer.barge()
        shutting = fake.failures.delay("POST", "channels/.*/mute", seconds=0.1)
        taking = observer.take_over("callee")
        await asyncio.gather(observer.spy(), taking, return_exceptions=True)
        assert shutting.hits
        await until(lambda: (observer.mode == "barge") == (call.taken_over_by == "eve"), "agreed")


async def test_a_mode_that_was_asked_for_on_one_call_is_not_had_on_the_next() -> None:
    async with stage() as (fake, client, calls):
        call = await connected(fake, calls)
        await talking(fake, "1003", "1004")
        observer = await client.observe(call, "eve", phone="1005")
        await observer.take_over("callee")
        giving = fake.failures.delay("DELETE", "channels/.*/mute", seconds=0.1)
        whispering = asyncio.create_task(observer.whisper("callee"))
        await until(lambda: giving.hits, "he gives the call back")
        await observer.move_to("1003")
        with pytest.raises(InvalidStateError, match="another call"):
            await whispering
        assert observer.mode == "spy"


async def test_a_takeover_that_is_refused_leaves_the_one_before_as_it_is() -> None:
    async with stage() as (fake, client, calls):
        call = await connected(fake, calls)
        observer = await client.observe(call, "eve")
        await observer.take_over("callee")
        with pytest.raises(CallbridgeError):
            await observer.take_over("ai")
        assert (observer.mode, call.taken_over_by) == ("barge", "eve")


async def test_whoever_falls_silent_gives_the_call_back() -> None:
    async with stage() as (fake, client, calls):
        call = await connected(fake, calls)
        observer = await client.observe(call, "eve")
        await observer.take_over("callee")
        rule = fake.failures.refuse("POST", "channels/externalMedia", times=100)
        for channel in list(fake.world.channels.values()):
            if "-media.eve.caller-" in channel.id:
                fake.channel_hangs_up(channel.id)
        await until(lambda: observer.mode == "spy", "he is silent")
        assert rule.hits
        await until(lambda: call.taken_over_by is None, "it is given back")
        await until(lambda: not any(p.muted for p in call.parties), "the callee is heard")


# --- the link -----------------------------------------------------------------------------------


async def test_a_phone_that_comes_while_all_is_compared_is_not_missed() -> None:
    async with stage(rest_over_websocket=False) as (fake, client, _):
        await talking(fake, "1001", "1002")
        await client.observe("1001", "first")
        comparing = fake.failures.delay("GET", "bridges", seconds=0.5)
        fake.drop_sockets("callbridge")
        await until(lambda: comparing.hits, "what stands is listed")
        observer = await client.observe("1001", "eve", phone="1005")
        asked = fake.count("GET", "channels")
        await until(lambda: fake.count("GET", "channels") > asked + 1, "both have looked again")
        await observer.whisper()
        assert observer.left is None


# --- the end ------------------------------------------------------------------------------------


async def test_nothing_is_opened_any_more_when_the_client_leaves() -> None:
    async with FakeAri() as fake:
        await talking(fake, "1001", "1002")
        for turns in range(0, 60, 3):
            client = Client(fake.url, fake.username, fake.password, sample_rate=16000, probe=False)
            await client.connect()
            observing = asyncio.create_task(client.observe("1001"))
            for _ in range(turns):
                await asyncio.sleep(0)
            await client.disconnect()
            await asyncio.gather(observing, return_exceptions=True)
            await until(lambda: not fake.applications, f"{turns}: no application is left")
            await until(lambda: left_over() == [], f"{turns}: no task is left")
        assert fake.world.violations == []


def left_over() -> list[str]:
    names = ("observer", "gallery", "audibility", "watch", "desk", "flow")
    return [t.get_name() for t in asyncio.all_tasks() if t.get_name().startswith(names)]


# --- observers among themselves -----------------------------------------------------------------


async def test_who_falls_silent_is_not_heard_by_others_while_a_line_is_being_laid() -> None:
    async with stage() as (fake, client, _):
        await talking(fake, "1001", "1002")
        loud = await client.observe("1001", "loud", phone="1005")
        await client.observe("1001", "ear")
        await loud.barge()
        await until(lambda: heard_by_ear(fake), "the other observer hears him")
        # Without its event a channel is asked for after a while only.
        fake.failures.lose("StasisStart", times=50)
        coming = asyncio.create_task(client.observe("1001", "third"))
        await until(lambda: count(fake, "media.third.") > 2, "lines are being laid")
        await loud.spy()
        await until(lambda: not heard_by_ear(fake), "he is heard no more")
        assert not coming.done(), "he did not have to wait for it"
        await coming
        await loud.barge()
        await until(lambda: heard_by_ear(fake), "he is heard again")


def heard_by_ear(fake: FakeAri) -> bool:
    """Tell whether the line between two observers lets the loud one be heard."""
    ears = [c for c in fake.world.channels.values() if "-media.ear.loud-" in c.id]
    return any("out" not in ear.muted for ear in ears)


def count(fake: FakeAri, key: str) -> int:
    return sum(f"-{key}" in channel for channel in fake.world.channels)
