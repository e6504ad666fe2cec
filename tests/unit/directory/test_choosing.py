"""Finding the call that is meant, and the next one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bridge.directory import ChannelSeen
from bridge.model.errors import AmbiguousCallError, CallNotFoundError, ErrorCode
from bridge.model.ids import CallId

if TYPE_CHECKING:
    from tests.unit.directory.conftest import World


@pytest.mark.parametrize(
    "selector",
    ["CALL", "c-1001", "PJSIP/1002-00000001", "PJSIP/1002", "pjsip/1001", "1002", "+491"],
)
def test_every_way_to_name_a_call(world: World, selector: str) -> None:
    call = world.dialled("1001", "1002")
    world.dialled("1003", "1004", "c")
    world.step(ChannelSeen(replace(world.channel("1001"), number="+491")))
    selector = call.call_id if selector == "CALL" else selector
    assert world.directory.find(selector).call_id == call.call_id


def test_no_call_at_all(world: World) -> None:
    with pytest.raises(CallNotFoundError, match="no live call at all") as caught:
        world.directory.find("1002")
    assert caught.value.error_code is ErrorCode.CALL_NOT_FOUND


@pytest.mark.parametrize("selector", ["100", "PJSIP/10", "PJSIP", "", "c", "000000000002"])
def test_no_such_call_and_which_there_are(world: World, selector: str) -> None:
    call = world.dialled("1001", "1002")
    with pytest.raises(CallNotFoundError) as caught:
        world.directory.find(selector)
    assert f"{call.call_id} (caller PJSIP/1001, callee PJSIP/1002)" in str(caught.value)


def test_nothing_does_not_mean_who_has_no_number(world: World) -> None:
    world.dialled("1001", "1002")
    world.step(ChannelSeen(replace(world.channel("1001"), number="")))
    assert world.directory.calls[0].meant_by("") == ()
    with pytest.raises(CallNotFoundError):
        world.directory.find("")


def test_more_than_one_and_how_to_say_which(world: World) -> None:
    first = world.dialled("1001", "1002")
    world.channel("PJSIP/1002-00000009", app="AppDial")
    second = world.dialled("1003", "PJSIP/1002-00000009", "c")
    with pytest.raises(AmbiguousCallError, match=r"on 2 calls.*by the call's id") as caught:
        world.directory.find("1002")
    assert caught.value.error_code is ErrorCode.CALL_AMBIGUOUS
    assert first.call_id in str(caught.value)
    assert second.call_id in str(caught.value)
    assert world.directory.find("PJSIP/1002-00000009").call_id == second.call_id


def test_an_endpoint_is_meant_before_a_number(world: World) -> None:
    first = world.dialled("1001", "1002")
    world.dialled("1003", "1004", "c")
    world.step(ChannelSeen(replace(world.channel("1003"), number="1002")))
    assert world.directory.find("1002").call_id == first.call_id


def test_many_calls_are_not_all_listed(world: World) -> None:
    for n in range(0, 40, 2):
        world.dialled(str(2000 + n), str(2001 + n), f"b{n}")
    with pytest.raises(CallNotFoundError, match="and 10 more"):
        world.directory.find("nobody")


def test_the_next_call_in_the_order_of_age(world: World) -> None:
    calls = [world.dialled(f"1{n}", f"2{n}", f"b{n}") for n in range(3)]
    ids = [call.call_id for call in calls]
    assert [call.call_id for call in world.directory.calls] == ids
    following = [world.directory.after(call_id) for call_id in ids]
    assert [call and call.call_id for call in following] == [ids[1], ids[2], ids[0]]
    first = world.directory.after(None)
    assert first is not None
    assert first.call_id == ids[0]


def test_after_a_call_that_ended_comes_the_one_that_came_after_it(world: World) -> None:
    calls = [world.dialled(f"1{n}", f"2{n}", f"b{n}") for n in range(3)]
    world.gone("11", "21")
    following = world.directory.after(calls[1].call_id)
    assert following is not None
    assert following.call_id == calls[2].call_id
    world.gone("12", "22")
    following = world.directory.after(calls[2].call_id)
    assert following is not None
    assert following.call_id == calls[0].call_id


def test_there_is_no_other_call(world: World) -> None:
    assert world.directory.after(None) is None
    call = world.dialled("1001", "1002")
    assert world.directory.after(call.call_id) is None
    following = world.directory.after(CallId("unknown"))
    assert following == call
