"""Who hears whom: planned, on the way from one plan to another, and broken off anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.audibility import Audience, Gallery, Observation, Wanted
from bridge.model.participants import Participant, participant
from bridge.topology.audibility import audibility, matrix_of
from bridge.topology.diff import (
    AddMember,
    CloseGate,
    Command,
    CreateBridge,
    CreateSnoop,
    OpenGate,
    Stage,
    apply,
    diff,
)
from bridge.topology.objects import (
    CALL_BRIDGE,
    Direction,
    Key,
    Snoop,
    Topology,
    leg_key,
    media_key,
    snoop_key,
)
from bridge.topology.planner import plan

PARTIES = [participant(f"party{n}") for n in range(4)]
OBSERVERS = [participant(f"observer{n}") for n in range(6)]


SUPERVISOR = participant("supervisor")


def some(among: Collection[Participant]) -> st.SearchStrategy[frozenset[Participant]]:
    return st.frozensets(st.sampled_from(sorted(among))) if among else st.just(frozenset())


@st.composite
def audiences(draw: st.DrawFn) -> Audience:
    parties = draw(some(PARTIES))
    observers = sorted(draw(some(OBSERVERS)))
    held = draw(some(parties))
    return Audience(
        parties,
        tuple((observer, draw(some(parties))) for observer in observers),
        muted=draw(some(parties)),
        held=held,
        apart=draw(some(parties - held)),
    )


@st.composite
def observations(draw: st.DrawFn, *, seated: bool) -> Observation:
    """What one observer wants at a time; a person keeps his seat, a program has none."""
    parties = draw(some(PARTIES))
    hears, heard_by = draw(some(parties)), draw(some(parties))
    return Observation(SUPERVISOR, parties, hears, heard_by, seated=seated)


@st.composite
def galleries(draw: st.DrawFn) -> Gallery:
    seated = draw(some(OBSERVERS[:3]))
    programs = draw(some(OBSERVERS[3:]))
    cells = [(a, b) for a in seated | programs for b in seated | programs if a != b]
    hears = draw(st.frozensets(st.sampled_from(sorted(cells)))) if cells else frozenset()
    return Gallery(seated, programs, hears)


def pairs_of(
    wanted: st.SearchStrategy[Wanted],
) -> st.SearchStrategy[tuple[Wanted, Wanted]]:
    return st.tuples(wanted, wanted)


CHANGES: st.SearchStrategy[tuple[Wanted, Wanted]] = st.one_of(
    pairs_of(audiences()),
    pairs_of(observations(seated=True)),
    pairs_of(observations(seated=False)),
    pairs_of(galleries()),
)
"""What is wanted before and after a change."""


def people(wanted: Wanted) -> frozenset[Participant]:
    """Those who have a channel."""
    return frozenset(plan(wanted).legs.values())


def with_legs(topology: Topology, wanted: Wanted) -> Topology:
    """Legs come and go with the people themselves, not by a command."""
    there = people(wanted)
    gone = set(topology.legs) - {leg_key(p) for p in there}
    legs = {k: v for k, v in topology.legs.items() if k not in gone}
    return Topology(
        legs={**legs, **{leg_key(p): p for p in there}},
        bridges={k: m - gone for k, m in topology.bridges.items()},
        snoops={k: s for k, s in topology.snoops.items() if s.target not in gone},
        media=topology.media,
        anchors=topology.anchors,
        muted=topology.muted - gone,
    )


def run(topology: Topology, commands: list[Command]) -> Topology:
    for command in commands:
        topology = apply(topology, command)
    return topology


@given(st.one_of(audiences(), observations(seated=True), observations(seated=False), galleries()))
def test_what_is_planned_is_what_is_heard_once_each(wanted: Wanted) -> None:
    assert audibility(plan(wanted)) == Counter(dict.fromkeys(wanted.matrix, 1))


@given(CHANGES)
def test_nothing_to_do_between_a_plan_and_itself(change: tuple[Wanted, Wanted]) -> None:
    assert diff(plan(change[0]), plan(change[0])) == ()


@given(CHANGES)
def test_the_stages_lead_to_what_is_wanted(change: tuple[Wanted, Wanted]) -> None:
    before, after = change
    now = with_legs(plan(before), after)
    assert run(now, list(chain(*diff(now, plan(after))))) == plan(after)


@given(CHANGES, st.data())
def test_broken_off_anywhere_nobody_hears_what_he_should_not(
    change: tuple[Wanted, Wanted], data: st.DataObject
) -> None:
    before, after = change
    now = with_legs(plan(before), after)
    stages = diff(now, plan(after))
    reached = data.draw(st.integers(0, len(stages)), label="whole stages")
    last = draw_part(stages, reached, data)
    assert_safe(now, before, after)
    for done in range(reached + 1):
        so_far: list[Command] = list(chain(*stages[:done]))
        assert_safe(run(now, so_far), before, after)
    assert_safe(run(now, [*chain(*stages[:reached]), *last]), before, after)


@given(CHANGES, st.data())
def test_broken_off_and_planned_again_it_arrives(
    change: tuple[Wanted, Wanted], data: st.DataObject
) -> None:
    before, after = change
    now = with_legs(plan(before), after)
    stages = diff(now, plan(after))
    reached = data.draw(st.integers(0, len(stages)), label="whole stages")
    part = draw_part(stages, reached, data)
    stands = run(now, [*chain(*stages[:reached]), *part])
    again = run(stands, list(chain(*diff(stands, plan(after)))))
    assert again == plan(after)


@given(observations(seated=True), observations(seated=True))
def test_who_leaves_is_taken_out_of_what_is_wanted(one: Observation, other: Observation) -> None:
    assert one.among(other.parties) == Observation(SUPERVISOR, seated=True)
    present = one.among(other.parties | {SUPERVISOR})
    assert present.matrix == {
        cell for cell in one.matrix if set(cell) <= other.parties | {SUPERVISOR}
    }


def draw_part(stages: tuple[Stage, ...], index: int, data: st.DataObject) -> list[Command]:
    """Any subset of the stage that was under way, in any order."""
    if index == len(stages):
        return []
    chosen = data.draw(st.lists(st.sampled_from(stages[index]), unique=True), label="part")
    return list(chosen)


def assert_safe(topology: Topology, before: Wanted, after: Wanted) -> None:
    ways = audibility(topology)
    listeners = people(before) | people(after)
    heard = {cell for cell in ways if cell[0] in listeners}
    assert heard <= before.matrix | after.matrix, "somebody is heard who shall not be"
    assert all(count == 1 for count in ways.values()), "a voice is heard twice"
    if isinstance(before, Audience) and isinstance(after, Audience):
        parties = {(a, b) for a, b in before.matrix & after.matrix if {a, b} <= set(PARTIES)}
        assert parties <= set(ways), "parties who stay lost each other"


def test_an_echo_is_seen() -> None:
    caller = participant("caller")
    snoop = Snoop(Key("leg"), spy=Direction.IN, whisper=Direction.NONE)
    topology = Topology(
        legs={Key("leg"): caller},
        bridges={CALL_BRIDGE: frozenset({Key("leg"), Key("snoop")})},
        snoops={Key("snoop"): snoop},
    )
    assert audibility(topology) == {(caller, caller): 1}


def test_a_spy_in_a_bridge_with_a_whisper_doubles_the_parties() -> None:
    caller, callee, ai = (participant(name) for name in ("caller", "callee", "ai"))
    good = plan(Audience(frozenset({caller, callee}), ((ai, frozenset({callee})),)))
    ear = snoop_key(ai, caller)
    bridges = {k: m - {ear} for k, m in good.bridges.items()}
    mouth = next(k for k, m in bridges.items() if snoop_key(ai, callee) in m)
    wrong = Topology(
        legs=good.legs,
        bridges={**bridges, mouth: bridges[mouth] | {ear}},
        snoops=good.snoops,
        media=good.media,
        anchors=good.anchors,
    )
    assert audibility(wrong)[callee, caller] == 2


@pytest.mark.parametrize("is_open", [True, False])
def test_a_gate_decides_whether_a_whisper_is_heard(*, is_open: bool) -> None:
    caller, ai = participant("caller"), participant("ai")
    topology = plan(Audience(frozenset({caller}), ((ai, frozenset()),)))
    gate = snoop_key(ai, caller)
    topology = apply(topology, OpenGate(gate) if is_open else CloseGate(gate))
    assert ((caller, ai) in matrix_of(topology)) is is_open


def test_a_new_snoop_is_closed_before_it_joins_its_line() -> None:
    caller, ai = participant("caller"), participant("ai")
    alone = plan(Audience(frozenset({caller})))
    stages = diff(alone, plan(Audience(frozenset({caller}), ((ai, frozenset({caller})),))))
    kinds = [type(command) for stage in stages for command in stage]
    assert kinds.index(CreateSnoop) < kinds.index(CloseGate) < kinds.index(AddMember)
    assert kinds.index(AddMember) < kinds.index(OpenGate)


def test_the_whole_way_for_a_first_call() -> None:
    caller, ai = participant("caller"), participant("ai")
    wanted = plan(Audience(frozenset({caller}), ((ai, frozenset({caller})),)))
    stages = diff(Topology(legs=wanted.legs), wanted)
    assert CreateBridge(CALL_BRIDGE) in stages[0]
    assert stages[-1] == (OpenGate(snoop_key(ai, caller)),)
    assert media_key(ai, caller) in run(Topology(legs=wanted.legs), list(chain(*stages))).media
