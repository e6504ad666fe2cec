"""What is a call, who is in it, and how it goes on when people are moved."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.directory import (
    BridgeGone,
    CallBegan,
    CallEnded,
    ChannelSeen,
    Directory,
    Entered,
    Left,
    PartiesChanged,
    Snapshot,
)
from bridge.model.ids import CallId

if TYPE_CHECKING:
    from tests.unit.directory.conftest import World


def test_two_in_a_bridge_are_a_call(world: World) -> None:
    call = world.dialled("1001", "1002")
    assert world.changes == [CallBegan(call)]
    assert call.since == world.bridges["b"].created
    assert not call.own
    caller, callee = call.parties
    assert (caller.role, caller.channel_id, caller.endpoint) == ("caller", "c-1001", "PJSIP/1001")
    assert (callee.role, callee.number, callee.up) == ("callee", "1002", True)
    assert not caller.alone
    assert (call.caller, call.callee) == (caller, callee)


def test_one_in_a_bridge_is_none(world: World) -> None:
    world.enter("b", "1001")
    assert world.changes == []


def test_a_channel_that_is_not_up_talks_with_nobody(world: World) -> None:
    world.channel("1001")
    world.channel("1002", up=False)
    world.enter("b", "1001", "1002")
    assert world.changes == []
    world.step(ChannelSeen(replace(world.channel("1002"), up=True)))
    assert world.who() == [{"caller": "1001", "callee": "1002"}]


def test_who_was_dialled_is_the_callee_though_he_is_the_elder(world: World) -> None:
    world.channel("1002", app="AppDial")
    world.channel("1001", app="Dial")
    world.enter("b", "1002", "1001")
    assert world.who() == [{"caller": "1001", "callee": "1002"}]


def test_without_a_sign_the_elder_is_the_caller(world: World) -> None:
    world.channel("1002")
    world.enter("b", "1001", "1002", "1003")
    assert world.who() == [{"caller": "1002", "callee": "1001", "party3": "1003"}]


def test_a_snoop_a_recorder_and_a_zombie_are_nobody(world: World) -> None:
    names = ["Snoop/c-1001-00000001", "Recorder/ARI-1", "CBAnn/2", "PJSIP/1002-1<ZOMBIE>"]
    world.enter("b", "1001", *names)
    assert world.changes == []
    world.step(ChannelSeen(replace(world.channel("1001"), name="PJSIP/1001-1<ZOMBIE>")))
    world.enter("b", "1002")
    assert world.changes == []


def test_who_waits_in_one_holding_bridge_talks_with_nobody(world: World) -> None:
    world.step(
        *(
            Entered(replace(world.bridge("h"), waiting=True, creator="Stasis"), world.channel(n))
            for n in ("1001", "1002")
        )
    )
    assert world.changes == []


def test_the_same_twice_changes_nothing(world: World) -> None:
    world.dialled("1001", "1002")
    assert world.enter("b", "1001", "1002") == ()
    assert world.leave("other", "1001") == ()
    assert world.gone("1003") == ()


def test_hanging_up_ends_the_call_when_the_last_is_gone(world: World) -> None:
    call = world.dialled("1001", "1002")
    (change,) = world.leave("b", "1001", "1002")
    assert isinstance(change, PartiesChanged)
    assert [p.alone for p in change.call.parties] == [True, True]
    world.gone("1001")
    assert world.who() == [{"callee": "1002"}]
    (change,) = world.gone("1002")
    assert isinstance(change, CallEnded)
    assert change.call.call_id == call.call_id
    assert world.directory.calls == ()


def test_a_channel_that_leaves_late_does_not_come_back(world: World) -> None:
    world.dialled("1001", "1002")
    world.gone("1001", "1002")
    world.leave("b", "1001", "1002")
    world.enter("c", "1003")
    assert world.directory.calls == ()
    assert world.enter("b", "1001") == ()


def test_a_bridge_that_ends_parts_everybody(world: World) -> None:
    world.dialled("1001", "1002")
    world.step(BridgeGone("b"))
    (call,) = world.directory.calls
    assert all(p.alone for p in call.parties)
    assert world.directory.bridge_of("c-1001") is None


def test_local_channels_join_two_bridges_to_one_call(world: World) -> None:
    world.channel("1001", app="Queue")
    first, second = "Local/1003@q-00000001;1", "Local/1003@q-00000001;2"
    world.channel(first, app="AppQueue")
    world.channel(second, app="Dial")
    world.enter("near", first, "1001")
    world.channel("1003", app="AppDial")
    assert world.changes == []
    world.enter("far", "1003", second)
    assert world.who() == [{"caller": "1001", "callee": "1003"}]
    began = world.changes[-1]
    # Asterisk takes the Local channel out: the member takes its place.
    world.step(
        Left("far", world.channel("1003")),
        Left("near", world.channel(first)),
        Entered(world.bridge("near"), world.channel("1003")),
        Left("far", world.channel(second)),
    )
    world.gone(first, second)
    assert world.changes == [began]


def test_when_a_local_channel_ends_nobody_hears_through_it(world: World) -> None:
    first, second = "Local/1003@q-00000001;1", "Local/1003@q-00000001;2"
    world.enter("near", "1001", first)
    world.enter("far", second, "1003")
    (change,) = world.gone(second)
    assert [p.alone for p in change.call.parties] == [True, True]


def test_a_local_channel_with_a_voice_menu_behind_it_is_a_party(world: World) -> None:
    first, second = "Local/menu@x-00000001;1", "Local/menu@x-00000001;2"
    world.channel("1001", app="Dial")
    world.channel(first, app="AppDial")
    world.step(ChannelSeen(world.channel(second, app="Playback")))
    world.enter("b", first, "1001")
    assert world.who() == [{"caller": "1001", "callee": first}]
    assert world.directory.calls[0].parties[1].endpoint == "Local/menu@x"
    # It hands the caller on to somebody: he is the callee then.
    world.channel("1003", app="AppDial")
    world.step(ChannelSeen(replace(world.channel(second), app="Dial")))
    world.enter("far", "1003", second)
    assert world.who() == [{"caller": "1001", "callee": "1003"}]


def test_a_blind_transfer_by_the_callee_gives_his_role_to_the_new_one(world: World) -> None:
    call = world.dialled("1001", "1002")
    world.leave("b", "1001", "1002")
    world.gone("1002")
    assert world.who() == [{"caller": "1001"}]
    world.channel("1003", app="AppDial")
    world.enter("c", "1003", "1001")
    assert world.who() == [{"caller": "1001", "callee": "1003"}]
    assert {c.call.call_id for c in world.changes} == {call.call_id}


def test_a_blind_transfer_by_the_caller_gives_his_role_to_the_new_one(world: World) -> None:
    call = world.dialled("1001", "1002")
    world.leave("b", "1001", "1002")
    world.gone("1001")
    world.channel("1003", app="AppDial")
    world.enter("c", "1003", "1002")
    assert world.who() == [{"caller": "1003", "callee": "1002"}]
    assert world.directory.calls[0].call_id == call.call_id
    assert world.directory.calls[0].since == call.since


def test_an_attended_transfer_leaves_the_elder_call(world: World) -> None:
    first = world.dialled("1001", "1002")
    second = world.dialled("1002b", "1003", "c")
    changes = world.step(
        Left("b", world.channel("1001")),
        Left("c", world.channel("1002b")),
        Entered(world.bridge("c"), world.channel("1001")),
        Left("b", world.channel("1002")),
    )
    assert [(type(c), c.call.call_id) for c in changes] == [
        (CallEnded, second.call_id),
        (PartiesChanged, first.call_id),
    ]
    assert world.who() == [{"caller": "1001", "callee": "1003"}]


def test_who_is_left_waiting_in_his_bridge_stays_in_the_call(world: World) -> None:
    """As in an attended transfer by keys: one channel talks with both, one after the other."""
    call = world.dialled("1001", "1002")
    world.leave("b", "1002")
    world.enter("c", "1002", "1003")
    assert world.who() == [{"caller": "1001", "callee": "1002", "party3": "1003"}]
    assert [p.alone for p in world.directory.calls[0].parties] == [True, False, False]
    # The transfer: the consulted one takes the place of him who consulted.
    world.step(
        Left("c", world.channel("1003")),
        Left("c", world.channel("1002")),
        Entered(world.bridge("b"), world.channel("1003")),
    )
    assert world.who() == [{"caller": "1001", "callee": "1003"}]
    assert world.directory.calls[0].call_id == call.call_id


def test_who_comes_back_from_a_consultation_has_his_role(world: World) -> None:
    world.dialled("1001", "1002")
    world.leave("b", "1002")
    world.enter("c", "1002", "1003")
    world.leave("c", "1002", "1003")
    world.enter("b", "1002")
    assert world.who() == [{"caller": "1001", "callee": "1002"}]


def test_when_both_go_on_with_others_the_caller_keeps_the_call(world: World) -> None:
    call = world.dialled("1001", "1002")
    world.step(
        Left("b", world.channel("1001")),
        Left("b", world.channel("1002")),
        *(Entered(world.bridge("c"), world.channel(n)) for n in ("1002", "1003")),
        *(Entered(world.bridge("d"), world.channel(n)) for n in ("1001", "1004")),
    )
    kept = world.directory.get(call.call_id)
    assert kept is not None
    assert set(kept.channels.values()) == {"c-1001", "c-1004"}
    other = world.directory.call_of("c-1002")
    assert other is not None
    assert other.call_id != call.call_id
    assert set(other.channels.values()) == {"c-1002", "c-1003"}


def test_a_parked_call_goes_on_and_is_fetched(world: World) -> None:
    call = world.dialled("1001", "1002")
    world.bridge("lot", parking=True)
    world.leave("b", "1001", "1002")
    world.enter("lot", "1001")
    world.gone("1002")
    (party,) = world.directory.calls[0].parties
    assert (party.parked, party.on_hold, party.alone) == (True, True, True)
    world.step(
        Left("lot", world.channel("1001")),
        *(Entered(world.bridge("c"), world.channel(n)) for n in ("1001", "1004")),
    )
    assert world.who() == [{"caller": "1001", "callee": "1004"}]
    (party, _) = world.directory.calls[0].parties
    assert (party.parked, party.on_hold, party.alone) == (False, False, False)
    assert world.directory.calls[0].call_id == call.call_id


def test_two_who_are_parked_do_not_become_one_call(world: World) -> None:
    world.bridge("lot", parking=True)
    world.enter("lot", "1001", "1002")
    assert world.who() == [{"caller": "1001"}, {"caller": "1002"}]


def test_a_third_party_takes_the_place_of_who_left(world: World) -> None:
    world.channel("1001", app="Dial")
    world.enter("b", "1001", "1002", "1003", "1004")
    world.leave("b", "1002")
    world.gone("1002")
    assert world.who() == [{"caller": "1001", "callee": "1003", "party4": "1004"}]


def test_a_snapshot_replaces_all_that_was_known(world: World) -> None:
    call = world.dialled("1001", "1002")
    world.dialled("1003", "1004", "c")
    bridge = (world.bridge("b"), frozenset({"c-1001", "c-1005", "c-9"}))
    channels = (world.channel("1001"), world.channel("1005"))
    world.step(Snapshot(channels, (bridge,)))
    assert world.who() == [{"caller": "1001", "callee": "1005"}]
    assert world.directory.calls[0].call_id == call.call_id
    (ended,) = world.step(Snapshot())
    assert isinstance(ended, CallEnded)


def test_who_moved_while_bridges_were_listed_is_where_he_was_seen_last(world: World) -> None:
    channels = tuple(world.channel(n) for n in ("1001", "1002", "1003"))
    one = (world.bridge("a"), frozenset({"c-1001", "c-1002"}))
    other = (world.bridge("b"), frozenset({"c-1002", "c-1003"}))
    world.step(Snapshot(channels, (one, other)))
    assert world.who() == [{"caller": "1002", "callee": "1003"}]
    assert world.leave("a", "1002") == ()
    world.gone("1002")
    world.enter("a", "1003")
    assert world.who() == [{"caller": "1001", "callee": "1003"}]


def later(world: World, **bridges: tuple[str, ...]) -> dict[CallId, set[str]]:
    """Return the calls, and their channels, that another directory finds where these are."""
    members = {world.bridge(b): [world.channel(n) for n in names] for b, names in bridges.items()}
    found = Directory(lambda: CallId("a fresh one"))
    found.step(
        Snapshot(
            tuple(channel for channels in members.values() for channel in channels),
            tuple((b, frozenset(c.id for c in channels)) for b, channels in members.items()),
        )
    )
    return {call.call_id: set(call.channels.values()) for call in found.calls}


def test_who_looks_later_calls_a_call_the_same(world: World) -> None:
    call, other = world.dialled("1001", "1002"), world.dialled("1003", "1004", "c")
    assert re.fullmatch("[0-9a-f]{12}", call.call_id)
    assert later(world, b=("1002", "1001"), c=("1003", "1004")) == {
        call.call_id: {"c-1001", "c-1002"},
        other.call_id: {"c-1003", "c-1004"},
    }
    # His callee transfers him.
    world.leave("b", "1001", "1002")
    world.gone("1002")
    world.channel("1005", app="AppDial")
    world.enter("d", "1005", "1001")
    assert later(world, d=("1005", "1001")) == {call.call_id: {"c-1001", "c-1005"}}


def test_without_its_caller_it_is_another_call_to_who_looks_later(world: World) -> None:
    call = world.dialled("1001", "1002")
    world.enter("b", "1003")
    world.leave("b", "1001")
    world.gone("1001")
    assert world.directory.get(call.call_id) is not None
    (found,) = later(world, b=("1002", "1003"))
    assert found not in {call.call_id, "a fresh one"}


def test_no_two_calls_of_one_caller_have_one_id(world: World) -> None:
    elder = world.dialled("1003", "1004")
    call = world.dialled("1001", "1002", "c")
    # He joins others, and so his call is over; then he talks with somebody else.
    world.leave("c", "1001")
    world.enter("b", "1001")
    world.leave("b", "1001")
    world.enter("d", "1001", "1005")
    assert world.directory.get(call.call_id) is None
    (third,) = (one for one in world.directory.calls if one.call_id != elder.call_id)
    assert set(third.channels.values()) == {"c-1001", "c-1005"}
    assert third.call_id not in {call.call_id, elder.call_id}


def test_of_a_channel_of_the_same_id_on_another_pbx_it_is_another(world: World) -> None:
    call = world.dialled("1001", "1002")
    world.channels["1001"] = replace(world.channel("1001"), created=0.5)
    assert call.call_id not in later(world, b=("1001", "1002"))
