"""The link of a watch: what stands when it begins, breaks, other programs, and what it costs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from bridge.ari import AriSettings, events
from bridge.directory import CallBegan
from bridge.lab.phones import CallState
from bridge.lab.proxy import BreakableProxy
from bridge.lab.waiting import until
from bridge.model.errors import (
    AmbiguousCallError,
    AuthenticationError,
    CallNotFoundError,
    ConfigurationError,
    RequestFailedError,
)
from bridge.model.ids import CallId
from bridge.model.participants import CALLER
from bridge.runtime.watch import Watch
from bridge.runtime.watch_facts import NEEDED
from tests.integration.watch.conftest import open_watch
from tests.support.pbx import open_observer, until_true

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.ari.generated.events import AnyMessage
    from bridge.lab.phones import Phone
    from tests.integration.watch.conftest import Watched
    from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


@pytest.fixture
async def proxy(pbx: Pbx) -> AsyncIterator[BreakableProxy]:
    port = int(pbx.instance.info.ari.url.rsplit(":", 1)[1].split("/")[0])
    async with BreakableProxy("127.0.0.1", port) as proxy:
        yield proxy


@pytest.fixture
async def behind_proxy(pbx: Pbx, proxy: BreakableProxy) -> AsyncIterator[Watched]:
    async with AsyncExitStack() as stack:
        yield await open_watch(pbx.instance, stack, proxy.port)


async def pair(pbx: Pbx, caller: str, callee: str) -> tuple[Phone, Phone]:
    """Let one phone call another without any application."""
    phones = await pbx.phone(caller), await pbx.phone(callee)
    await phones[0].call(f"9{callee}")
    for phone in phones:
        await phone.wait_state(CallState.CONFIRMED)
    return phones


async def test_calls_that_stood_before_it_began(pbx: Pbx) -> None:
    _, callee = await pair(pbx, "1001", "1002")
    await callee.hold()
    async with AsyncExitStack() as stack:
        observer = await open_observer(pbx.instance)
        stack.push_async_callback(observer.close)

        async def held() -> bool:
            for channel in await observer.channels.list():
                value = await observer.channels.get_channel_var(
                    channel_id=channel.id, variable="CHANNEL(onhold)"
                )
                if value.value == "1":
                    return True
            return False

        await until_true(held, "Asterisk has seen the re-INVITE")
        watched = await open_watch(pbx.instance, stack)
        assert watched.who() == [{"caller": "1001", "callee": "1002"}]
        flags = [(p.holding, p.on_hold) for p in watched.directory.calls[0].parties]
        assert flags == [(False, True), (True, False)]
        await callee.unhold()
        await until(lambda: not watched.directory.calls[0].parties[0].on_hold, "taken back")
        assert not watched.directory.calls[0].parties[1].holding


async def test_several_calls_are_found_and_come_one_after_the_other(
    pbx: Pbx, watched: Watched
) -> None:
    await pair(pbx, "1001", "1002")
    phones = await pair(pbx, "1003", "1004")
    await pair(pbx, "1005", "1006")
    expected = [("1001", "1002"), ("1003", "1004"), ("1005", "1006")]
    await watched.until_who(*({"caller": a, "callee": b} for a, b in expected))
    directory = watched.directory
    calls = directory.calls
    for call, numbers in zip(calls, expected, strict=True):
        party = call.parties[0]
        selectors = [call.call_id, *numbers, *(f"PJSIP/{n}" for n in numbers)]
        for selector in [*selectors, party.channel_id, party.channel_name]:
            assert directory.find(selector) == call
    assert [directory.after(call.call_id) for call in calls] == [calls[1], calls[2], calls[0]]
    with pytest.raises(CallNotFoundError, match="PJSIP/1003"):
        directory.find("1007")
    # The same phone on two calls: one held, one for a consultation.
    await pbx.phone("1007")
    await phones[0].consult("91007")
    await until(lambda: len(directory.calls) == 4, "the consultation")
    with pytest.raises(AmbiguousCallError, match="on 2 calls"):
        directory.find("1003")
    assert directory.find("1007") != directory.find("1004")
    await phones[1].hangup()
    await until(lambda: len(directory.calls) == 3, "one is over")
    following = directory.after(calls[1].call_id)
    assert following is not None
    assert following.call_id == calls[2].call_id


async def test_what_happened_while_the_link_was_down_is_made_up_for(
    pbx: Pbx, behind_proxy: Watched, proxy: BreakableProxy
) -> None:
    watched = behind_proxy
    _, transferring = await pair(pbx, "1001", "1002")
    ending, _ = await pair(pbx, "1003", "1004")
    await until(lambda: len(watched.directory.calls) == 2, "two calls")
    kept, ended = watched.directory.calls
    await proxy.refuse()
    await until(lambda: not watched.watch.known, "the link is missed")
    assert watched.directory.calls == (kept, ended)
    third = await pbx.phone("1005")
    await transferring.transfer("91005")
    await third.wait_state(CallState.CONFIRMED)
    await ending.hangup()
    await ending.wait_state(CallState.DISCONNECTED)
    await pair(pbx, "1006", "1007")
    assert watched.directory.calls == (kept, ended)
    await proxy.resume()
    await until(lambda: watched.watch.known, "everything was looked at again")
    await watched.until_who(
        {"caller": "1001", "callee": "1005"}, {"caller": "1006", "callee": "1007"}
    )
    assert watched.directory.calls[0].call_id == kept.call_id
    assert watched.told_of(ended.call_id) == ["CallBegan", "CallEnded"]
    assert watched.known == [True, False, True]
    # And events come again.
    await third.hangup()
    await watched.until_who({"caller": "1006", "callee": "1007"})


async def test_a_link_that_drops_again_and_again(
    pbx: Pbx, behind_proxy: Watched, proxy: BreakableProxy
) -> None:
    watched = behind_proxy
    caller, _ = await pair(pbx, "1001", "1002")
    call = await watched.until_call(caller="1001", callee="1002")
    for _ in range(5):
        watched.known.clear()
        await proxy.cut()
        await until(lambda: False in watched.known, "the link is missed")
        await until(lambda: watched.watch.known, "it is back")
    assert watched.directory.calls == (call,)
    assert watched.told_of(call.call_id) == ["CallBegan"]
    await caller.hangup()
    await watched.until_who()


async def test_a_restarted_asterisk_has_no_calls(own_pbx: Pbx, own_watched: Watched) -> None:
    watched = own_watched
    await pair(own_pbx, "1001", "1002")
    call = await watched.until_call(caller="1001", callee="1002")
    await asyncio.to_thread(own_pbx.instance.kill)
    await until(lambda: not watched.watch.known, "the link is missed")
    await asyncio.to_thread(own_pbx.instance.restart)
    await until(lambda: watched.watch.known, "it is back", within_s=15)
    await watched.until_who()
    assert watched.told_of(call.call_id)[-1] == "CallEnded"


async def test_our_own_calls_and_nothing_of_their_observers(pbx: Pbx, watched: Watched) -> None:
    program = await pbx.program(route=lambda _call: "PJSIP/1002")
    await pbx.phone("1002")
    caller = await pbx.phone("1001")
    await caller.call("1002")
    call = await program.next_call()
    await call.answer()
    call_id = CallId(call.call_id)
    assert watched.directory.calls == ()
    watched.watch.adopt(call_id, {CALLER: await _only_phone(pbx)})
    assert watched.who() == [{"caller": "1001"}]
    await call.connect()
    live = await watched.until_call(caller="1001", callee="1002")
    assert (live.call_id, live.own) == (call_id, True)
    await call.whisper("callee")
    await call.barge()
    assert len(await pbx.channels()) > 2
    assert watched.who() == [{"caller": "1001", "callee": "1002"}]
    await call.disconnect()
    watched.watch.release(call_id)
    await watched.until_who()
    assert {c.call.call_id for c in watched.changes} == {call_id}


async def _only_phone(pbx: Pbx) -> str:
    (channel_id,) = [c for c in await pbx.channels() if "callbridge-" not in c]
    return channel_id


async def test_only_the_events_that_are_needed_arrive(
    pbx: Pbx, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[type[AnyMessage]] = set()

    def note(event: AnyMessage) -> None:
        seen.add(type(event))

    monkeypatch.setattr(watched.watch._ari, "_on_event", note)
    caller, callee = await pair(pbx, "1001", "1002")
    await callee.hold()
    await until(lambda: events.ChannelHold in seen, "the hold is told")
    await caller.hangup()
    await until(lambda: events.BridgeDestroyed in seen, "the end is told")
    assert seen <= set(NEEDED)
    assert {events.ChannelEnteredBridge, events.ChannelLeftBridge} <= seen


async def test_it_owns_nothing_and_asterisk_forgets_it(pbx: Pbx) -> None:
    observer = await open_observer(pbx.instance)

    async def forgotten() -> bool:
        # One by its name: a list fails with 500 when an application goes while it is made.
        try:
            await observer.applications.get(application_name="watched-watch")
        except RequestFailedError as error:
            return error.status == 404
        return False

    try:
        async with AsyncExitStack() as stack:
            await open_watch(pbx.instance, stack)
            assert not await forgotten()
            await pair(pbx, "1001", "1002")
            assert len(await pbx.channels()) == 2
        await until_true(forgotten, "the application is gone")
        assert len(await pbx.channels()) == 2
    finally:
        await observer.close()


async def test_when_too_much_happens_everything_is_looked_at_again(
    pbx: Pbx, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.runtime.watch._MOST_PENDING", 1)
    caller, _ = await pair(pbx, "1001", "1002")
    await until(lambda: False in watched.known, "facts were dropped")
    await watched.until_call(caller="1001", callee="1002")
    await caller.hangup()
    await watched.until_who()
    await until(lambda: watched.watch.known, "and all is known")


async def test_another_program_of_its_name_ends_it(pbx: Pbx, watched: Watched) -> None:
    async with AsyncExitStack() as stack:
        other = await open_watch(pbx.instance, stack)
        await until(lambda: not watched.watch.known, "it is told")
        await pair(pbx, "1001", "1002")
        await other.until_call(caller="1001", callee="1002")
        assert watched.changes == []
        assert not watched.watch.known


async def test_a_callback_that_raises_hides_nothing(
    pbx: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []

    def raising(change: object) -> None:
        told.append(change)
        raise RuntimeError("a fault of the program's")

    ari = pbx.instance.info.ari
    settings = AriSettings(ari.url, ari.username, ari.password, "watched")
    watch = Watch(settings, on_change=raising)
    await watch.open()
    try:
        caller, _ = await pair(pbx, "1001", "1002")
        await until(lambda: watch.directory.calls, "the call")
        await caller.hangup()
        await until(lambda: not watch.directory.calls, "its end")
    finally:
        await watch.close()
    assert isinstance(told[0], CallBegan)
    assert len(told) >= 2
    assert "a callback of the watch raised" in caplog.text


async def test_open_says_what_is_wrong_and_leaves_nothing(pbx: Pbx) -> None:
    ari = pbx.instance.info.ari
    settings = AriSettings(ari.url, ari.username, "wrong", "watched")
    watch = Watch(settings, on_change=lambda _change: None)
    with pytest.raises(AuthenticationError):
        await watch.open()
    await watch.close()


def test_a_name_too_long_to_watch_under() -> None:
    settings = AriSettings("http://127.0.0.1:8088", "user", "x", "a" * 70)
    with pytest.raises(ConfigurationError, match="1 to 73"):
        Watch(settings, on_change=lambda _change: None)
