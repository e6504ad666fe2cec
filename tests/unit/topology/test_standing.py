"""Reading who hears whom from lists: bridges of others, strangers, what was left over."""

from __future__ import annotations

import json

import pytest

from bridge.model.audibility import Matrix
from bridge.model.ids import CallId
from bridge.model.participants import CALLEE, CALLER, Participant, participant
from bridge.topology.objects import CALL_BRIDGE, Key
from bridge.topology.standing import (
    AudibilityReport,
    Cast,
    Found,
    ListedBridge,
    ListedChannel,
    Stranger,
    compare,
    find,
    same_differences,
)

CALL = CallId("c0ffee")
SPY = participant("spy")
OBSERVER = CallId("0b5e7e")
TALKING: Matrix = frozenset({(CALLER, CALLEE), (CALLEE, CALLER)})
SPYING: Matrix = frozenset({(SPY, CALLER), (SPY, CALLEE)})
CAST = Cast(
    {"1.1": CALLER, "1.2": CALLEE}, frozenset({CALLER, CALLEE}), frozenset({CALL, OBSERVER})
)
LEGS = [ListedChannel("1.1", "PJSIP/1001-1"), ListedChannel("1.2", "PJSIP/1002-2")]
ROOM = ListedBridge("b-dial", frozenset({"1.1", "1.2"}))


def line(
    party: Participant, leg: str, owner: CallId, serial: int, *, shut: bool = True
) -> tuple[list[ListedChannel], ListedBridge]:
    """Return a program's line to a party: a snoop, whose gate may be shut, and a media channel."""
    snoop, media = f"{owner}-s{serial}", f"{owner}-m{serial}"
    channels = [
        ListedChannel(snoop, f"Snoop/{leg}-{serial:08x}", owner, Key(f"snoop.spy.{party}"), shut),
        ListedChannel(media, f"WebSocket/{serial}", owner, Key(f"media.spy.{party}")),
    ]
    room = ListedBridge(f"{owner}-b{serial}", frozenset({snoop, media}), key=Key("bridge.line.x"))
    return channels, room


def spied() -> tuple[list[ListedChannel], list[ListedBridge]]:
    """Return a call that was dialled plainly, and a program that spies on it."""
    one, first = line(CALLER, "1.1", OBSERVER, 1)
    two, second = line(CALLEE, "1.2", OBSERVER, 2)
    return [*LEGS, *one, *two], [ROOM, first, second]


def report(found: Found, wanted: Matrix = TALKING | SPYING) -> AudibilityReport:
    return compare(CALL, CAST, found, wanted)


def test_a_call_of_others_and_its_spy() -> None:
    seen = report(find(*spied(), CAST))
    assert seen.ok
    assert seen.standing == TALKING | SPYING
    assert seen.participants == (CALLER, CALLEE, SPY)


def test_bridges_that_a_local_channel_joins_are_one() -> None:
    halves = [
        ListedChannel("2.1", "Local/1002@q-0001;1"),
        ListedChannel("2.2", "Local/1002@q-0001;2"),
    ]
    rooms = [
        ListedBridge("a", frozenset({"1.1", "2.1"})),
        ListedBridge("b", frozenset({"1.2", "2.2"})),
    ]
    assert report(find([*LEGS, *halves], rooms, CAST), TALKING).ok
    apart = report(find([*LEGS, *halves], rooms[:1], CAST), TALKING)
    assert apart.missing == TALKING


def test_a_holding_bridge_joins_nobody() -> None:
    held = ListedBridge("hold", ROOM.members, holding=True)
    assert report(find(LEGS, [held], CAST), frozenset()).ok


def test_what_another_observer_left_behind_is_heard_and_its_ways_are_known() -> None:
    channels, rooms = spied()
    left, room = line(CALLER, "1.1", CallId("dead"), 9, shut=False)
    found = find([*channels, *left], [*rooms, room], CAST)
    seen = report(found)
    assert seen.unwanted == {(CALLER, SPY)}
    assert seen.doubled == {(SPY, CALLER)}
    assert found.ends(CALLER, SPY) == {"0b5e7e-s1", "dead-s9"}


def test_a_channel_that_somebody_puts_into_a_line_hears_and_is_heard() -> None:
    channels, rooms = spied()
    intruder = ListedChannel("6.6", "PJSIP/1009-6")
    rooms[1] = ListedBridge(rooms[1].id, rooms[1].members | {"6.6"}, key=rooms[1].key)
    seen = report(find([*channels, intruder], rooms, CAST))
    there = Participant("PJSIP/1009-6")
    # The gate towards the caller is shut; the program's is open.
    assert seen.unwanted == {(there, CALLER), (there, SPY), (SPY, there)}
    assert [s.intrudes for s in seen.strangers] == [True]
    assert not seen.ok


def test_a_stranger_with_the_parties_is_told_and_is_no_difference() -> None:
    recorder = ListedChannel("7.7", "Recorder/ARI-7")
    snoop = ListedChannel("8.8", "Snoop/1.1-00000008")
    room = ListedBridge(ROOM.id, ROOM.members | {"7.7"})
    seen = report(find([*LEGS, recorder, snoop], [room], CAST), TALKING)
    assert seen.ok
    assert seen.strangers == (
        Stranger("Recorder/ARI-7", "7.7", "b-dial", snoops=False, intrudes=False),
        Stranger("Snoop/1.1-00000008", "8.8", "1.1", snoops=True, intrudes=False),
    )
    assert (Participant(recorder.name), CALLER) in seen.standing
    assert (Participant(snoop.name), CALLER) in seen.standing


def test_a_stranger_in_the_bridge_that_we_made_for_the_parties_is_one() -> None:
    room = ListedBridge("ours", ROOM.members | {"7.7"}, key=CALL_BRIDGE)
    seen = report(find([*LEGS, ListedChannel("7.7", "PJSIP/1009-7")], [room], CAST), TALKING)
    assert not seen.ok


@pytest.mark.parametrize("place", ["0b5e7e-s1", "0b5e7e-m1"])
def test_a_strangers_snoop_on_an_end_of_a_line_is_a_difference(place: str) -> None:
    channels, rooms = spied()
    snoop = ListedChannel("8.8", f"Snoop/{place}-00000008")
    seen = report(find([*channels, snoop], rooms, CAST))
    person = CALLER if place.endswith("s1") else SPY
    there = Participant(snoop.name)
    assert seen.unwanted == {(there, person), (person, there)}


def test_a_gate_that_says_nothing_counts_as_open() -> None:
    channels, rooms = spied()
    channels = [ListedChannel(c.id, c.name, c.owner, c.key) for c in channels]
    assert report(find(channels, rooms, CAST)).unwanted == {(CALLER, SPY), (CALLEE, SPY)}


def test_what_is_free_may_stand_and_need_not() -> None:
    for rooms in ([ROOM], []):
        found = find(LEGS, rooms, CAST)
        assert compare(CALL, CAST, found, frozenset(), free=TALKING).ok


def test_only_what_lasts_is_a_difference() -> None:
    alone = report(find(LEGS, [ROOM], CAST))
    apart = report(find(LEGS, [], CAST))
    assert alone.missing == SPYING
    assert apart.missing == SPYING | TALKING
    assert same_differences(apart, alone).missing == SPYING
    assert same_differences(report(find(*spied(), CAST)), apart).ok


def test_a_report_is_a_table_and_plain_data() -> None:
    channels, rooms = spied()
    left, room = line(CALLER, "1.1", CallId("dead"), 9, shut=False)
    seen = report(find([*channels[:-1], *left], [*rooms, room], CAST))
    assert str(seen).splitlines() == [
        "call c0ffee: NOT as wanted",
        "hears   caller  callee   spy",
        "caller          yes      UNWANTED",
        "callee  yes              -",
        "spy     TWICE   MISSING",
    ]
    data = json.loads(json.dumps(seen.as_dict()))
    assert data["unwanted"] == [["caller", "spy"]]
    assert data["missing"] == [["spy", "callee"]]
    assert data["doubled"] == [["spy", "caller"]]
    assert data["ok"] is False
