"""From the matrix to objects: a private line for every pair that does not share a bridge.

The parties talk in one bridge; who is held is alone in one with music, who is apart in one without.
An observer has for each party a line of his own: two ends, alone
together in a bridge. The end of somebody who has a channel is a snoop on it, which spies what he
says and whispers what the other says; the end of a program is a media channel. So the parties'
own bridge is never touched, whoever made it; each speaker arrives apart; and a mode is nothing but
a set of open gates. See docs/adr/0002 and docs/adr/0008.
"""

from __future__ import annotations

from bridge.model.audibility import Audience, Gallery, Matrix, Observation, Wanted
from bridge.model.participants import Participant
from bridge.topology.objects import (
    ANCHORS,
    CALL_BRIDGE,
    SEAT_BRIDGE,
    Direction,
    Key,
    Media,
    Snoop,
    Topology,
    anchors_of,
    apart_key,
    cue_key,
    hold_key,
    leg_key,
    line_key,
    media_key,
    snoop_key,
)


def plan(wanted: Wanted) -> Topology:
    """Return objects with which exactly ``wanted.matrix`` is heard, every voice once."""
    match wanted:
        case Audience():
            return _call(wanted)
        case Observation():
            return _observation(wanted)
        case Gallery():
            return _gallery(wanted)


def _call(audience: Audience) -> Topology:
    draft = _Draft(audience.parties, audience.matrix)
    if audience.parties:
        draft.share(CALL_BRIDGE, audience.talking)
    for party in audience.held:
        draft.bridges[hold_key(party)] = frozenset({leg_key(party)})
    for party in audience.apart:
        draft.share(apart_key(party), frozenset({party}), anchors_of(party))
    for observer, _ in audience.heard_by:
        for party in audience.parties:
            draft.line(observer, party)
    # Who is muted is heard through no line either; its gate needs not follow that.
    for observer, listeners in audience.heard_by:
        for party in audience.muted & (audience.talking | audience.apart & listeners):
            draft.media[media_key(observer, party)] = Media(observer)
    return draft.topology(muted=frozenset(leg_key(party) for party in audience.muted))


def _observation(wanted: Observation) -> Topology:
    observer = wanted.observer
    seats = frozenset({observer} if wanted.seated else ())
    draft = _Draft(wanted.parties | seats, wanted.matrix)
    if wanted.seated:
        draft.share(SEAT_BRIDGE, seats)
        cue = Snoop(leg_key(observer), Direction.NONE, Direction.OUT, gate_open=True)
        draft.snoops[cue_key(observer)] = cue
    for party in wanted.parties:
        draft.line(observer, party)
    return draft.topology()


def _gallery(wanted: Gallery) -> Topology:
    draft = _Draft(wanted.seated, wanted.matrix)
    observers = sorted(wanted.seated | wanted.programs)
    for number, one in enumerate(observers):
        for other in observers[number + 1 :]:
            draft.line(one, other)
    return draft.topology()


class _Draft:
    """A topology in the making. seated: who has a channel of his own."""

    def __init__(self, seated: frozenset[Participant], matrix: Matrix) -> None:
        self._seated = seated
        self._matrix = matrix
        self._anchors: set[Key] = set()
        self.bridges: dict[Key, frozenset[Key]] = {}
        self.snoops: dict[Key, Snoop] = {}
        self.media: dict[Key, Media] = {}

    def share(
        self, bridge: Key, members: frozenset[Participant], anchors: frozenset[Key] = ANCHORS
    ) -> None:
        """Put people into one bridge, with anchors."""
        self._anchors |= anchors
        self.bridges[bridge] = frozenset(map(leg_key, members)) | anchors

    def line(self, one: Participant, other: Participant) -> None:
        """Lay a line between two; a gate stands open where somebody is to hear."""
        ends = frozenset({self._end(one, other), self._end(other, one)})
        self.bridges[line_key(one, other)] = ends

    def _end(self, near: Participant, far: Participant) -> Key:
        hears = (near, far) in self._matrix
        if near in self._seated:
            key = snoop_key(far, near)
            self.snoops[key] = Snoop(leg_key(near), Direction.IN, Direction.OUT, hears)
        else:
            key = media_key(near, far)
            self.media[key] = Media(near, hears)
        return key

    def topology(self, *, muted: frozenset[Key] = frozenset()) -> Topology:
        """Return what was drawn."""
        return Topology(
            legs={leg_key(person): person for person in sorted(self._seated)},
            bridges=self.bridges,
            snoops=self.snoops,
            media=self.media,
            anchors=frozenset(self._anchors),
            muted=muted,
        )
