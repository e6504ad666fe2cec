"""Whatever is told of the PBX, in whichever order: a list of what stands puts it right."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.directory import (
    BridgeFact,
    BridgeGone,
    CallBegan,
    CallEnded,
    ChannelFact,
    ChannelGone,
    ChannelSeen,
    Directory,
    Entered,
    Fact,
    Hold,
    Left,
    LiveCall,
    PartiesChanged,
    Snapshot,
)
from bridge.model.ids import CallId
from bridge.model.participants import CALLEE, CALLER, Participant

OWN = CallId("0123456789ab")
PHONES = [f"PJSIP/10{n:02}-1" for n in range(6)]
LOCALS = [f"Local/9@x-1;{half}" for half in (1, 2)]
APPS = {"Local/9@x-1;1": "AppQueue", "Local/9@x-1;2": "Dial", PHONES[1]: "AppDial"}
BRIDGES = {
    name: BridgeFact(name, float(n), waiting=name == "lot", creator="Parking" * (name == "lot"))
    for n, name in enumerate(["a", "b", "c", "lot"])
}

channels = st.builds(
    lambda name, up: ChannelFact(
        f"id-{name}", name, up, float(len(name)), number=name[6:10], app=APPS.get(name, "")
    ),
    st.sampled_from(PHONES + LOCALS),
    st.sampled_from([True, True, True, False]),
)
bridges = st.sampled_from(sorted(BRIDGES))
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(lambda b, c: Entered(BRIDGES[b], c), bridges, channels),
    st.builds(lambda b, c: Entered(BRIDGES[b], c), bridges, channels),
    st.builds(Left, bridges, channels),
    st.builds(ChannelSeen, channels),
    st.builds(lambda c: ChannelGone(c.id), channels),
    st.builds(BridgeGone, bridges),
    st.builds(lambda c, on: Hold(c, on=on), channels, st.booleans()),
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Channels, each in one bridge, in none, or in two: he moved while they were listed."""
    found = draw(st.lists(channels, unique_by=lambda c: c.id))
    places = [draw(st.sets(st.sampled_from(sorted(BRIDGES)), max_size=2)) for _ in found]
    members = {
        b: frozenset(c.id for c, place in zip(found, places, strict=True) if b in place)
        for b in BRIDGES
    }
    held = frozenset(c.id for c in found if draw(st.booleans()))
    return Snapshot(tuple(found), tuple((BRIDGES[b], m) for b, m in members.items()), held)


def directory() -> Directory:
    numbers = itertools.count(1)
    return Directory(lambda: CallId(f"{next(numbers):012x}"))


def talks(made: Directory) -> set[frozenset[str]]:
    """Who talks with whom: the parties of each call who are not alone."""
    found = (frozenset(p.channel_id for p in call.parties if not p.alone) for call in made.calls)
    return {talk for talk in found if talk}


def parked(made: Directory) -> set[str]:
    return {p.channel_id for call in made.calls for p in call.parties if p.parked}


def check(made: Directory) -> None:
    """Everything that is always so."""
    everything = {
        *made._standing.channels,
        *(c for e in made._entries.values() for c in e.channels),
    }
    assert made._settle(everything) == (), "something was not looked at"
    everybody = [p.channel_id for call in made.calls for p in call.parties]
    assert len(everybody) == len(set(everybody)), "a channel is in two calls"
    for call in made.calls:
        roles = [p.role for p in call.parties]
        assert roles, "a call without a party"
        assert len(roles) == len(set(roles)), "a role is given twice"
        assert call.own or all(p.up for p in call.parties)
        if not call.own and len(roles) > 1:
            assert {CALLER, CALLEE} <= set(roles), "the first roles are not given"


@given(st.lists(facts, max_size=30), snapshots())
def test_after_a_list_of_what_stands_nothing_that_was_told_before_matters(
    told: list[Fact], snapshot: Snapshot
) -> None:
    fresh, used = directory(), directory()
    fresh.step(snapshot)
    for fact in told:
        used.step(fact)
    used.step(snapshot)
    check(used)
    assert talks(used) == talks(fresh)
    assert parked(used) == parked(fresh)
    # What stands is all that is remembered of calls: no others, and no channel that is not there.
    known = {c.id for c in snapshot.channels}
    assert {p.channel_id for call in used.calls for p in call.parties} <= known


@given(snapshots(), st.lists(facts, max_size=30), st.data())
def test_facts_in_one_step_or_in_many_and_twice_come_to_the_same(
    snapshot: Snapshot, told: list[Fact], data: st.DataObject
) -> None:
    many, once = directory(), directory()
    many.step(snapshot)
    once.step(snapshot)
    for fact in told:
        many.step(fact)
        if data.draw(st.booleans()):
            assert many.step(fact) == ()
        check(many)
    once.step(*told)
    check(once)
    assert talks(once) == talks(many)


@given(snapshots(), st.lists(facts, max_size=30))
def test_the_changes_tell_the_whole_story(snapshot: Snapshot, told: list[Fact]) -> None:
    made = directory()
    seen: dict[CallId, LiveCall] = {}
    for fact in (snapshot, *told):
        for change in made.step(fact):
            match change:
                case CallBegan(call=call):
                    assert call.call_id not in seen
                    seen[call.call_id] = call
                case PartiesChanged(before=before, call=call):
                    assert seen[call.call_id] == before != call
                    seen[call.call_id] = call
                case CallEnded(call=call):
                    assert seen.pop(call.call_id) == call
        assert seen == {call.call_id: call for call in made.calls}


@given(st.lists(facts, max_size=30), st.permutations(PHONES))
def test_a_call_stays_when_one_party_is_replaced(told: list[Fact], phones: Sequence[str]) -> None:
    made = directory()
    for fact in told:
        made.step(fact)
    made.step(Snapshot())
    one, other, third = (
        ChannelFact(f"id-{name}", name, up=True, created=float(n))
        for n, name in enumerate(phones[:3])
    )
    made.step(*(Entered(BRIDGES["a"], c) for c in (one, other)))
    (call,) = made.calls
    roles = {c: role for role, c in call.channels.items()}
    made.step(Left("a", other), ChannelGone(other.id))
    made.step(*(Entered(BRIDGES["b"], c) for c in (one, third)))
    (after,) = made.calls
    assert after.call_id == call.call_id
    assert after.channels == {roles[one.id]: one.id, roles[other.id]: third.id}


@given(
    snapshots(),
    st.lists(facts, max_size=20),
    st.dictionaries(
        st.sampled_from([CALLER, CALLEE, Participant("party3")]),
        st.sampled_from([f"id-{name}" for name in PHONES]),
        min_size=1,
    ).filter(lambda d: len(set(d.values())) == len(d)),
)
@settings(max_examples=200)
def test_what_we_know_of_our_own_call_is_never_guessed_otherwise(
    snapshot: Snapshot, told: list[Fact], parties: dict[Participant, str]
) -> None:
    made = directory()
    made.step(snapshot)
    made.adopt(OWN, parties, at=0.0)
    for fact in told:
        made.step(fact)
        check(made)
        own = made.get(OWN)
        others = {p.channel_id for c in made.calls if not c.own for p in c.parties}
        assert not others & set(parties.values())
        if own is not None:
            assert all(parties.get(role, c) == c for role, c in own.channels.items())
    made.release(OWN)
    check(made)
    assert not any(call.own for call in made.calls)


@given(
    st.permutations(PHONES[:5]),
    st.lists(st.sampled_from(sorted(BRIDGES)), min_size=5, max_size=5),
    st.lists(st.integers(0, 4), max_size=4),
    st.data(),
)
def test_however_a_call_of_ours_is_hung_up_no_other_call_comes_of_it(
    order: list[str], places: list[str], kept: list[int], data: st.DataObject
) -> None:
    made = directory()
    legs = [ChannelFact(f"id-{name}", name, up=True, created=1.0) for name in PHONES[:5]]
    parties = {Participant(f"party{n}"): leg.id for n, leg in enumerate(legs)}
    made.adopt(OWN, parties, at=0.0)
    made.step(*(Entered(BRIDGES[b], leg) for b, leg in zip(places, legs, strict=True)))
    steps = [
        *(
            lambda n=n: made.adopt(OWN, dict(list(parties.items())[:n]), at=0.0)
            for n in sorted(kept, reverse=True)
        ),
        lambda: made.release(OWN),
    ]
    ends = [lambda name=name: made.step(ChannelGone(f"id-{name}")) for name in order]
    while steps or ends:
        which = steps if not ends or (steps and data.draw(st.booleans())) else ends
        changes = which.pop(0)()
        assert {change.call.call_id for change in changes} <= {OWN}
        check(made)
    assert not made.calls
    assert not made._leaving
