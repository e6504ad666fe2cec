"""Who has put whom on hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.directory import Entered, Hold, Left, Snapshot

if TYPE_CHECKING:
    from tests.unit.directory.conftest import World


def flags(world: World) -> dict[str, str]:
    """Per channel: h holds the others, o is on hold."""
    return {
        p.channel_id: "h" * p.holding + "o" * p.on_hold
        for call in world.directory.calls
        for p in call.parties
    }


def test_hold_and_back(world: World) -> None:
    world.dialled("1001", "1002")
    world.step(Hold(world.channel("1002"), on=True))
    assert flags(world) == {"c-1001": "o", "c-1002": "h"}
    assert world.step(Hold(world.channel("1002"), on=True)) == ()
    world.step(Hold(world.channel("1002"), on=False))
    assert flags(world) == {"c-1001": "", "c-1002": ""}
    assert world.step(Hold(world.channel("1002"), on=False)) == ()


def test_each_can_hold_the_other(world: World) -> None:
    world.dialled("1001", "1002")
    world.step(*(Hold(world.channel(n), on=True) for n in ("1001", "1002")))
    assert flags(world) == {"c-1001": "ho", "c-1002": "ho"}
    world.gone("1002")
    assert flags(world) == {"c-1001": "h"}


def test_hold_reaches_through_local_channels(world: World) -> None:
    first, second = "Local/1003@q-00000001;1", "Local/1003@q-00000001;2"
    world.channel("1001")
    world.enter("near", "1001", first)
    world.enter("far", second, "1003")
    world.step(Hold(world.channel("1003"), on=True))
    assert flags(world) == {"c-1001": "o", "c-1003": "h"}


def test_who_is_consulted_meanwhile_is_not_on_hold(world: World) -> None:
    world.dialled("1001", "1002")
    world.step(Hold(world.channel("1002"), on=True))
    world.leave("b", "1002")
    world.enter("c", "1002", "1003")
    assert flags(world) == {"c-1001": "o", "c-1002": "h", "c-1003": ""}


def test_who_was_transferred_is_on_hold_no_more(world: World) -> None:
    world.dialled("1001", "1002")
    world.step(Hold(world.channel("1002"), on=True))
    world.step(
        Left("b", world.channel("1001")),
        *(Entered(world.bridge("c"), world.channel(n)) for n in ("1001", "1003")),
    )
    assert flags(world)["c-1001"] == ""
    assert flags(world)["c-1003"] == ""


@pytest.mark.parametrize("by", ["1001", "1002"])
def test_a_snapshot_of_two_tells_who_holds(world: World, by: str) -> None:
    world.dialled("1001", "1002")
    other = {"1001": "1002", "1002": "1001"}[by]
    channels = tuple(world.channels.values())
    bridges = ((world.bridge("b"), frozenset({"c-1001", "c-1002"})),)
    world.step(Snapshot(channels, bridges, held=frozenset({f"c-{other}"})))
    assert flags(world) == {f"c-{by}": "h", f"c-{other}": "o"}
    world.step(Hold(world.channel(by), on=False))
    assert flags(world) == {"c-1001": "", "c-1002": ""}


def test_a_snapshot_of_three_does_not_tell_who_holds(world: World) -> None:
    world.enter("b", "1001", "1002", "1003")
    channels = tuple(world.channels.values())
    members = frozenset(c.id for c in channels)
    world.step(Snapshot(channels, ((world.bridge("b"), members),), held=frozenset({"c-1001"})))
    assert flags(world) == {"c-1001": "o", "c-1002": "", "c-1003": ""}
    world.step(Hold(world.channel("1003"), on=False))
    assert flags(world)["c-1001"] == ""
