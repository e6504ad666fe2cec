"""What is planned for a whole call, as Asterisk would list it, is read back as it was wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from bridge.model.audibility import Audience, Cell, Gallery, Matrix, Observation, Wanted
from bridge.model.ids import CallId
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant, participant
from bridge.topology.objects import Key, Topology, leg_key
from bridge.topology.planner import plan
from bridge.topology.standing import Cast, ListedBridge, ListedChannel, compare, find

CALL = CallId("call")
PARTIES = frozenset({CALLER, CALLEE, participant("party3")})
SEATED = [participant(f"person{n}") for n in range(3)]
PROGRAMS = [participant(f"program{n}") for n in range(3)]


@dataclass
class Exchange:
    """Lists topologies as Asterisk would: under ids, with names, and mutes only by variables."""

    channels: dict[str, ListedChannel] = field(default_factory=dict)
    bridges: dict[str, ListedBridge] = field(default_factory=dict)
    legs: dict[Participant, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def place(self, owner: CallId, topology: Topology) -> None:
        """Make what a plan has, under the ids of an owner."""
        ids = {leg_key(p): self._leg(p, leg_key(p) in topology.muted) for p in people_of(topology)}
        for key in sorted(topology.channels - ids.keys()):
            ids[key] = f"{owner}-{key}-{next(self._numbers)}"
        for key in sorted(topology.media) + sorted(topology.anchors):
            shut = key in topology.media and not topology.media[key].gate_open
            self._add(ids[key], f"WebSocket/{next(self._numbers)}", owner, key, shut=shut)
        for key, snoop in topology.snoops.items():
            name = f"Snoop/{ids[snoop.target]}-{next(self._numbers):08x}"
            self._add(ids[key], name, owner, key, shut=not snoop.gate_open)
        for key, members in topology.bridges.items():
            here = f"{owner}-{key}-{next(self._numbers)}"
            holding = key.startswith("bridge.hold.")
            inside = frozenset(ids[k] for k in members)
            self.bridges[here] = ListedBridge(here, inside, holding=holding, key=key)

    def stranger(self, name: str) -> str:
        """Let a channel come that nobody knows."""
        here = f"stranger-{next(self._numbers)}"
        self.channels[here] = ListedChannel(here, name)
        return here

    def enter(self, channel_id: str, bridge_id: str) -> None:
        """Put a channel into a bridge, and so out of all others."""
        for bridge in list(self.bridges.values()):
            members = bridge.members - {channel_id}
            if bridge.id == bridge_id:
                members |= {channel_id}
            self.bridges[bridge.id] = replace(bridge, members=members)

    def _leg(self, person: Participant, muted: bool) -> str:  # noqa: FBT001 - a plain fact
        here = self.legs.setdefault(person, f"1700000000.{next(self._numbers)}")
        before = self.channels.get(here, ListedChannel(here, f"PJSIP/{person}-00000001"))
        self.channels[here] = replace(before, shut=before.shut or muted)
        return here

    def _add(self, here: str, name: str, owner: CallId, key: Key, *, shut: bool) -> None:
        self.channels[here] = ListedChannel(here, name, owner, key, shut)


@dataclass(frozen=True)
class Whole:
    """A call with all that is wanted of it, by owner."""

    wanted: dict[CallId, Wanted]
    foreign: bool = False

    @property
    def matrix(self) -> Matrix:
        cells: set[Cell] = set()
        for wanted in self.wanted.values():
            cells |= wanted.matrix
        return frozenset(cells)

    def exchange(self) -> Exchange:
        there = Exchange()
        for owner, wanted in self.wanted.items():
            there.place(owner, plan(wanted))
        return there

    def cast(self, there: Exchange) -> Cast:
        people = {channel_id: person for person, channel_id in there.legs.items()}
        return Cast(people, PARTIES, frozenset(self.wanted))


def people_of(topology: Topology) -> list[Participant]:
    return sorted(topology.legs.values())


@st.composite
def wholes(draw: st.DrawFn) -> Whole:
    parties = draw(st.sampled_from([PARTIES, frozenset({CALLER, CALLEE}), frozenset({CALLER})]))
    some = st.frozensets(st.sampled_from(sorted(parties)))
    held, muted = draw(some), draw(some)
    apart = draw(some) - held
    agent = draw(st.booleans())
    wanted: dict[CallId, Wanted] = {
        CALL: Audience(parties, ((AGENT, draw(some)),) if agent else (), muted, held, apart)
    }
    names = draw(st.frozensets(st.sampled_from(SEATED + PROGRAMS)))
    talking = parties - held
    for name in sorted(names):
        heard_by = draw(some) & (talking | apart)
        audible = (talking - apart | heard_by) - muted
        wanted[CallId(f"of_{name}")] = Observation(
            name, parties, audible, heard_by, seated=name in SEATED
        )
    programs = (names - set(SEATED)) | (frozenset({AGENT}) if agent else frozenset())
    every = names | programs
    cells = sorted((a, b) for a in every for b in every if a != b)
    matrix = draw(st.frozensets(st.sampled_from(cells))) if cells else frozenset()
    wanted[CallId("gallery")] = Gallery(names & set(SEATED), programs, matrix)
    return Whole(wanted)


@given(wholes())
def test_what_stands_is_what_was_wanted_every_voice_once(whole: Whole) -> None:
    there = whole.exchange()
    cast = whole.cast(there)
    found = find(there.channels.values(), there.bridges.values(), cast)
    report = compare(CALL, cast, found, whole.matrix)
    assert report.ok, str(report)
    assert report.standing == report.wanted == whole.matrix
    assert report.strangers == ()


@given(wholes(), wholes())
def test_a_call_is_not_taken_for_another_with_equal_keys(one: Whole, other: Whole) -> None:
    there, elsewhere = one.exchange(), other.exchange()
    mine = one.cast(there)
    channels = [*there.channels.values(), *(_of_another(c) for c in elsewhere.channels.values())]
    bridges = [
        *there.bridges.values(),
        *(
            replace(b, id=f"x{b.id}", members=frozenset(f"x{i}" for i in b.members))
            for b in elsewhere.bridges.values()
        ),
    ]
    report = compare(CALL, mine, find(channels, bridges, mine), one.matrix)
    assert report.ok, str(report)
    assert report.standing == one.matrix


@given(wholes(), st.data())
def test_a_gate_that_stands_otherwise_is_one_cell(whole: Whole, data: st.DataObject) -> None:
    there = whole.exchange()
    cast = whole.cast(there)
    gates = [c for c in there.channels.values() if _decides(c, cast, whole)]
    if not gates:
        return
    gate = data.draw(st.sampled_from(sorted(gates, key=lambda c: c.id)))
    there.channels[gate.id] = replace(gate, shut=not gate.shut)
    report = compare(
        CALL, cast, find(there.channels.values(), there.bridges.values(), cast), whole.matrix
    )
    assert not report.ok
    differing = report.missing if gate.shut is False else report.unwanted
    assert differing == {_cell(gate)}
    assert (report.unwanted | report.missing | report.doubled) == differing


@given(wholes(), st.data())
def test_a_stranger_in_a_bridge_of_ours_is_found(whole: Whole, data: st.DataObject) -> None:
    there = whole.exchange()
    cast = whole.cast(there)
    rooms = [b.id for b in there.bridges.values() if not b.holding and b.members]
    if not rooms:
        return
    room = data.draw(st.sampled_from(sorted(rooms)))
    stranger = there.stranger("PJSIP/1009-00000009")
    there.enter(stranger, room)
    found = find(there.channels.values(), there.bridges.values(), cast)
    report = compare(CALL, cast, found, whole.matrix)
    assert not report.ok
    (seen,) = report.strangers
    assert (seen.channel_id, seen.place, seen.intrudes) == (stranger, room, True)


@given(wholes(), st.data())
def test_what_is_in_no_list_is_not_heard(whole: Whole, data: st.DataObject) -> None:
    """Whichever channel or bridge is gone: nobody is heard who should not be."""
    there = whole.exchange()
    cast = whole.cast(there)
    gone = data.draw(st.sampled_from(sorted({*there.channels, *there.bridges})))
    channels = [c for c in there.channels.values() if c.id != gone]
    bridges = [
        replace(b, members=b.members - {gone}) for b in there.bridges.values() if b.id != gone
    ]
    report = compare(CALL, cast, find(channels, bridges, cast), whole.matrix)
    assert report.unwanted == report.doubled == frozenset()


def _of_another(channel: ListedChannel) -> ListedChannel:
    """Return a channel of a call that has nothing to do with the one that is looked at."""
    name = channel.name
    if name.startswith("Snoop/"):
        name = f"Snoop/x{name.removeprefix('Snoop/')}"
    owner = None if channel.owner is None else CallId(f"x{channel.owner}")
    return ListedChannel(f"x{channel.id}", name, owner, channel.key, channel.shut)


def _cell(gate: ListedChannel) -> Cell:
    assert gate.key is not None
    kind, one, other = gate.key.split(".")
    pair = (other, one) if kind == "snoop" else (one, other)
    return Participant(pair[0]), Participant(pair[1])


def _decides(channel: ListedChannel, cast: Cast, whole: Whole) -> bool:
    """Tell whether a gate alone decides a cell: not if its speaker is muted or out of reach."""
    if channel.key is None or not channel.key.startswith(("snoop.", "media.")):
        return False
    if channel.key.startswith("snoop.cue."):
        return False
    _, speaker = _cell(channel)
    audience = whole.wanted[CALL]
    assert isinstance(audience, Audience)
    return speaker not in audience.muted and channel.owner in cast.owners
