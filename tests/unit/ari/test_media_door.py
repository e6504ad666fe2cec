"""Who connects media sockets, and who makes and ends media channels, are kept apart."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from bridge.ari.media_door import MediaDoor, door_of, past
from bridge.lab.waiting import until
from bridge.model.errors import CommandTimeoutError, RequestFailedError

AGES = 60.0


class Visitor:
    """Somebody who goes in, and stays until he is told to leave."""

    def __init__(self, purpose: AbstractAsyncContextManager[None]) -> None:
        self._inside = False
        self._go = asyncio.Event()
        self._visit = asyncio.create_task(self._pay(purpose))

    async def _pay(self, purpose: AbstractAsyncContextManager[None]) -> None:
        async with purpose:
            self._inside = True
            await self._go.wait()
        self._inside = False

    def is_inside(self) -> bool:
        return self._inside

    async def leave(self) -> None:
        self._go.set()
        await self._visit

    async def give_up(self) -> None:
        self._visit.cancel()
        await asyncio.gather(self._visit, return_exceptions=True)


async def settled() -> None:
    """Let everybody go as far as he can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def door() -> MediaDoor:
    return MediaDoor(stay_s=AGES, ending_s=AGES)


def inside(*visitors: Visitor) -> list[bool]:
    return [visitor.is_inside() for visitor in visitors]


async def test_those_of_one_purpose_go_in_together(door: MediaDoor) -> None:
    for purpose in (door.connecting, door.changing):
        visitors = [Visitor(purpose()) for _ in range(3)]
        await settled()
        assert inside(*visitors) == [True] * 3
        for visitor in visitors:
            await visitor.leave()


async def test_nobody_connects_as_something_changes(door: MediaDoor) -> None:
    making, ending = Visitor(door.changing()), Visitor(door.changing())
    connecting = Visitor(door.connecting())
    await settled()
    assert inside(making, ending, connecting) == [True, True, False]
    await making.leave()
    await settled()
    assert not connecting.is_inside()
    await ending.leave()
    await settled()
    assert connecting.is_inside()
    await connecting.leave()


async def test_nothing_changes_as_somebody_connects(door: MediaDoor) -> None:
    connecting = Visitor(door.connecting())
    await settled()
    making = Visitor(door.changing(makes="m-1"))
    await settled()
    assert inside(connecting, making) == [True, False]
    await connecting.leave()
    await settled()
    assert making.is_inside()
    await making.leave()


async def test_who_comes_later_waits_behind_those_who_wait(door: MediaDoor) -> None:
    first = Visitor(door.changing())
    await settled()
    connecting = [Visitor(door.connecting()) for _ in range(2)]
    await settled()
    later = Visitor(door.changing())
    await settled()
    assert inside(first, *connecting, later) == [True, False, False, False]
    await first.leave()
    await settled()
    assert inside(*connecting, later) == [True, True, False]
    for visitor in connecting:
        await visitor.leave()
    await settled()
    assert later.is_inside()
    await later.leave()


async def test_a_channel_that_ends_counts_until_it_is_gone(door: MediaDoor) -> None:
    await Visitor(door.changing(makes="m-1")).leave()
    await Visitor(door.changing(ends="m-1")).leave()
    connecting = Visitor(door.connecting())
    await settled()
    assert not connecting.is_inside()
    door.ended("another")
    await settled()
    assert not connecting.is_inside()
    door.ended("m-1")
    await settled()
    assert connecting.is_inside()
    await connecting.leave()


async def test_a_channel_that_is_ended_twice_counts_once(door: MediaDoor) -> None:
    await Visitor(door.changing(makes="m-1")).leave()
    await Visitor(door.changing(ends="m-1")).leave()
    await Visitor(door.changing(ends="m-1")).leave()
    door.ended("m-1")
    await Visitor(door.changing(ends="m-1")).leave()
    connecting = Visitor(door.connecting())
    await settled()
    assert connecting.is_inside()
    await connecting.leave()


async def test_the_end_of_a_channel_without_media_is_not_waited_for(door: MediaDoor) -> None:
    await Visitor(door.changing(ends="leg")).leave()
    connecting = Visitor(door.connecting())
    await settled()
    assert connecting.is_inside()
    await connecting.leave()


async def test_ends_that_nobody_tells_of_are_forgotten(door: MediaDoor) -> None:
    await Visitor(door.changing(makes="m-1")).leave()
    await Visitor(door.changing(ends="m-1")).leave()
    connecting = Visitor(door.connecting())
    await settled()
    assert not connecting.is_inside()
    door.forget()
    await settled()
    assert connecting.is_inside()
    await connecting.leave()


async def test_an_end_that_takes_too_long_is_waited_for_no_more() -> None:
    door = MediaDoor(stay_s=AGES, ending_s=0.02)
    await Visitor(door.changing(makes="m-1")).leave()
    await Visitor(door.changing(ends="m-1")).leave()
    connecting = Visitor(door.connecting())
    await settled()
    assert not connecting.is_inside()
    await until(connecting.is_inside, "the end is waited for no more")
    await connecting.leave()
    assert not door.channels


async def test_a_channel_that_was_refused_is_not_remembered(door: MediaDoor) -> None:
    refused = RequestFailedError(status=500, method="POST", resource="channels", reason="no")
    for error in (refused, CommandTimeoutError("nobody knows")):
        with pytest.raises(type(error)):
            async with door.changing(makes=type(error).__name__):
                raise error
    assert door.channels == {"CommandTimeoutError"}


async def test_a_request_that_is_not_answered_does_not_keep_others_out() -> None:
    door = MediaDoor(stay_s=0.02, ending_s=AGES)
    stuck = Visitor(door.changing())
    await settled()
    connecting = Visitor(door.connecting())
    await settled()
    assert not connecting.is_inside()
    await until(connecting.is_inside, "others may go in")
    # Late, and no harm to those who are inside now.
    await stuck.leave()
    making = Visitor(door.changing())
    await settled()
    assert not making.is_inside()
    await connecting.leave()
    await making.leave()


async def test_who_gives_up_waiting_does_not_keep_others_out(door: MediaDoor) -> None:
    first = Visitor(door.changing())
    await settled()
    connecting = Visitor(door.connecting())
    await settled()
    second = Visitor(door.changing())
    await settled()
    assert inside(first, connecting, second) == [True, False, False]
    await connecting.give_up()
    await settled()
    assert second.is_inside()
    await first.leave()
    await second.leave()


async def test_who_gives_up_as_he_is_let_in_is_not_inside(door: MediaDoor) -> None:
    first = Visitor(door.changing())
    await settled()
    connecting = Visitor(door.connecting())
    await settled()
    leaving = asyncio.create_task(first.leave())
    giving_up = asyncio.create_task(connecting.give_up())
    await asyncio.gather(leaving, giving_up)
    second = Visitor(door.changing())
    await settled()
    assert second.is_inside()
    await second.leave()


@pytest.mark.parametrize(
    ("method", "resource", "query"),
    [
        ("POST", "channels/externalMedia", {"transport": "websocket", "channelId": "m-1"}),
        ("POST", "channels/create", {"endpoint": "WebSocket/INCOMING/c(slin16)"}),
        ("POST", "channels", {"endpoint": "WebSocket/INCOMING/c(slin16)"}),
        ("POST", "channels/m-1", {"endpoint": "WebSocket/INCOMING/c(slin16)"}),
        ("DELETE", "channels/m-1", {}),
    ],
)
async def test_requests_that_make_or_end_channels_wait_at_the_door(
    door: MediaDoor, method: str, resource: str, query: dict[str, str]
) -> None:
    connecting = Visitor(door.connecting())
    await settled()
    request = Visitor(past(door, method, resource, query.items()))
    await settled()
    assert not request.is_inside()
    await connecting.leave()
    await settled()
    assert request.is_inside()
    await request.leave()


@pytest.mark.parametrize(
    ("method", "resource", "query"),
    [
        ("POST", "channels/externalMedia", {"external_host": "127.0.0.1:9", "channelId": "a-1"}),
        ("POST", "channels/create", {"endpoint": "PJSIP/1001"}),
        ("GET", "channels/m-1", {}),
        ("GET", "channels", {}),
        ("DELETE", "channels/m-1/hold", {}),
        ("DELETE", "bridges/b-1", {}),
        ("POST", "channels/m-1/mute", {"direction": "out"}),
    ],
)
async def test_other_requests_do_not(
    door: MediaDoor, method: str, resource: str, query: dict[str, str]
) -> None:
    connecting = Visitor(door.connecting())
    await settled()
    request = Visitor(past(door, method, resource, query.items()))
    await settled()
    assert request.is_inside()
    await request.leave()
    await connecting.leave()


async def test_a_channel_that_a_request_made_is_known_when_another_ends_it(
    door: MediaDoor,
) -> None:
    made = {"transport": "websocket", "channelId": "m 1"}.items()
    await Visitor(past(door, "POST", "channels/externalMedia", made)).leave()
    await Visitor(past(door, "DELETE", "channels/m%201", ())).leave()
    connecting = Visitor(door.connecting())
    await settled()
    assert not connecting.is_inside()
    door.ended("m 1")
    await settled()
    assert connecting.is_inside()
    await connecting.leave()


async def test_a_server_has_one_door() -> None:
    assert door_of("http://127.0.0.1:1/") is door_of("http://127.0.0.1:1")
    assert door_of("http://127.0.0.1:1") is not door_of("http://127.0.0.1:2")
