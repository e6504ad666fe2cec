"""Calls of our own, whose parties we know rather than guess."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bridge.directory import (
    CallBegan,
    CallEnded,
    Change,
    ChannelGone,
    ChannelSeen,
    PartiesChanged,
)
from bridge.model.ids import CallId
from bridge.model.participants import CALLEE, CALLER, Participant

if TYPE_CHECKING:
    from tests.unit.directory.conftest import World

OWN = CallId("0123456789ab")
THIRD = Participant("party3")


def test_one_party_alone_is_a_call_and_need_not_be_up(world: World) -> None:
    world.step(ChannelSeen(world.channel("1001", up=False)))
    (began,) = world.directory.adopt(OWN, {CALLER: "c-1001"}, at=5.0)
    assert isinstance(began, CallBegan)
    assert (began.call.call_id, began.call.since, began.call.own) == (OWN, 5.0, True)
    party = began.call.parties[0]
    assert len(began.call.parties) == 1
    assert (party.role, party.up, party.alone) == (CALLER, False, True)


def test_a_channel_that_is_not_known_yet(world: World) -> None:
    assert world.directory.adopt(OWN, {CALLER: "c-1001"}, at=5.0) == ()
    assert world.who() == []
    (began,) = world.step(ChannelSeen(world.channel("1001", up=False)))
    assert isinstance(began, CallBegan)
    world.step(ChannelSeen(replace(world.channel("1001"), up=True)))
    assert world.directory.calls[0].parties[0].up


def test_what_we_know_wins_over_what_is_guessed(world: World) -> None:
    guessed = world.dialled("1001", "1002")
    changes = world.directory.adopt(OWN, {CALLEE: "c-1001", CALLER: "c-1002"}, at=5.0)
    assert [(type(c), c.call.call_id) for c in changes] == [
        (CallEnded, guessed.call_id),
        (CallBegan, OWN),
    ]
    assert world.who() == [{"caller": "1002", "callee": "1001"}]


def test_whoever_else_talks_with_them_has_a_free_role(world: World) -> None:
    world.dialled("1001", "1002")
    world.directory.adopt(OWN, {CALLER: "c-1001", THIRD: "c-1002"}, at=5.0)
    world.enter("b", "1003", "1004")
    assert world.who() == [{"caller": "1001", "callee": "1003", "party3": "1002", "party4": "1004"}]


def test_a_known_role_is_not_given_away_while_its_channel_is_not_there(world: World) -> None:
    world.directory.adopt(OWN, {CALLER: "c-1001", CALLEE: "c-later"}, at=5.0)
    world.enter("b", "1001", "1003")
    assert world.who() == [{"caller": "1001", "party3": "1003"}]


def test_a_known_third_party_stays_one(world: World) -> None:
    world.directory.adopt(OWN, {CALLER: "c-1001", THIRD: "c-1003"}, at=5.0)
    world.enter("b", "1001", "1003")
    assert world.who() == [{"caller": "1001", "party3": "1003"}]


def test_parties_apart_are_one_call_still(world: World) -> None:
    world.dialled("1001", "1002")
    world.directory.adopt(OWN, {CALLER: "c-1001", CALLEE: "c-1002"}, at=5.0)
    world.leave("b", "1002")
    world.enter("c", "1002", "1003")
    assert world.who() == [{"caller": "1001", "callee": "1002", "party3": "1003"}]
    assert [p.alone for p in world.directory.calls[0].parties] == [True, False, False]


def test_adopting_again_changes_who_takes_part(world: World) -> None:
    world.enter("b", "1001", "1002")
    world.directory.adopt(OWN, {CALLER: "c-1001", CALLEE: "c-1002"}, at=5.0)
    world.leave("b", "1002")
    (change,) = world.directory.adopt(OWN, {CALLER: "c-1001"}, at=9.0)
    assert isinstance(change, PartiesChanged)
    assert world.who() == [{"caller": "1001"}]
    assert change.call.since == 5.0


def consulting(world: World) -> None:
    """Let the callee of a call of ours talk with a third, while the caller waits."""
    world.dialled("1001", "1002")
    parties = {CALLER: "c-1001", CALLEE: "c-1002", THIRD: "c-1003"}
    world.directory.adopt(OWN, parties, at=5.0)
    world.leave("b", "1002")
    world.enter("c", "1002", "1003")
    world.changes.clear()


@pytest.mark.parametrize("order", list(itertools.permutations(["1001", "1002", "1003"])))
@pytest.mark.parametrize("shrinks", [True, False])
def test_those_who_are_hung_up_apart_are_no_other_call(
    world: World, order: tuple[str, ...], *, shrinks: bool
) -> None:
    consulting(world)
    changes: list[Change] = []
    if shrinks:
        changes += world.directory.adopt(OWN, {CALLER: "c-1001"}, at=9.0)
    changes += world.directory.release(OWN)
    for name in order:
        changes += world.gone(name)
        assert [call.call_id for call in world.directory.calls] in ([OWN], [])
    assert {change.call.call_id for change in changes} == {OWN}
    assert [type(c) for c in changes].count(CallEnded) == 1
    assert not world.directory._leaving


def test_of_a_guest_and_one_who_is_hung_up_no_call_is_made(world: World) -> None:
    consulting(world)
    world.directory.adopt(OWN, {CALLER: "c-1001", CALLEE: "c-1002"}, at=9.0)
    assert world.directory.adopt(OWN, {CALLER: "c-1001"}, at=9.0) != ()
    assert world.who() == [{"caller": "1001"}]


def test_others_than_those_who_are_hung_up_are_a_call(world: World) -> None:
    consulting(world)
    world.enter("c", "1004", "1005")
    world.directory.adopt(OWN, {CALLER: "c-1001"}, at=9.0)
    world.gone("1002", "1003")
    assert [set(parties.values()) for parties in world.who()] == [{"1001"}, {"1004", "1005"}]


def test_who_left_and_was_taken_back_may_be_a_call_again(world: World) -> None:
    consulting(world)
    world.directory.adopt(OWN, {CALLER: "c-1001"}, at=9.0)
    other = CallId("ba9876543210")
    world.directory.adopt(other, {CALLER: "c-1002", CALLEE: "c-1003"}, at=9.0)
    assert not world.directory._leaving
    assert {"caller": "1002", "callee": "1003"} in world.who()


def test_a_call_that_is_taken_up_began_when_they_began_to_talk(world: World) -> None:
    guessed = world.dialled("1001", "1002")
    world.directory.adopt(OWN, {CALLER: "c-1001", CALLEE: "c-1002"}, at=guessed.since + 600)
    assert [call.since for call in world.directory.calls] == [guessed.since]


def test_released_it_goes_on_while_somebody_is_there(world: World) -> None:
    world.dialled("1001", "1002")
    world.directory.adopt(OWN, {CALLER: "c-1001", CALLEE: "c-1002"}, at=5.0)
    (change,) = world.directory.release(OWN)
    assert isinstance(change, PartiesChanged)
    assert not change.call.own
    assert world.directory.release(OWN) == ()
    world.gone("1001", "1002")
    assert world.directory.calls == ()


def test_released_with_nobody_there_it_is_over(world: World) -> None:
    world.directory.adopt(OWN, {CALLER: "c-1001"}, at=5.0)
    assert world.directory.release(OWN) == ()
    assert world.step(ChannelSeen(world.channel("1001"))) == ()


def test_its_channels_are_never_in_two_calls(world: World) -> None:
    other = CallId("ba9876543210")
    world.directory.adopt(OWN, {CALLER: "c-1001"}, at=5.0)
    world.directory.adopt(other, {CALLER: "c-1002"}, at=6.0)
    world.enter("b", "1001", "1002", "1003")
    assert world.who() == [{"caller": "1001", "callee": "1003"}, {"caller": "1002"}]


@pytest.mark.parametrize("call_id", ["0123456789ab", "nobody"])
def test_releasing_what_is_not_ours(world: World, call_id: str) -> None:
    assert world.directory.release(CallId(call_id)) == ()


def test_released_after_everybody_has_gone_it_is_forgotten(world: World) -> None:
    world.step(ChannelSeen(world.channel("1001")))
    world.directory.adopt(OWN, {CALLER: "c-1001"}, at=5.0)
    world.step(ChannelGone("c-1001"))
    world.directory.release(OWN)
    assert not world.directory._entries
    assert not world.directory._call_ids
