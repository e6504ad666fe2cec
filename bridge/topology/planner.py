"""From the matrix to objects: a private line for every observer and party.

The parties talk in one bridge. An observer has for each party a line of his own: a snoop on the
party's channel (it spies what the party says and whispers what the observer says) and a media
channel, alone together in a bridge. So the parties' own bridge is never touched, each speaker
arrives apart, and a mode is nothing but a set of open gates. See docs/adr/0002.
"""

from __future__ import annotations

from bridge.model.audibility import Audience
from bridge.model.participants import Participant
from bridge.topology.objects import (
    ANCHORS,
    CALL_BRIDGE,
    Direction,
    Key,
    Snoop,
    Topology,
    leg_key,
    line_key,
    media_key,
    snoop_key,
)


def plan(audience: Audience) -> Topology:
    """Return objects with which exactly ``audience.matrix`` is heard, every voice once."""
    legs = {leg_key(party): party for party in sorted(audience.parties)}
    bridges: dict[Key, frozenset[Key]] = {}
    snoops: dict[Key, Snoop] = {}
    media: dict[Key, Participant] = {}
    anchors = ANCHORS if legs else frozenset()
    if legs:
        bridges[CALL_BRIDGE] = frozenset(legs) | anchors
    for observer, listeners in audience.heard_by:
        for party in sorted(audience.parties):
            snoop, channel = snoop_key(observer, party), media_key(observer, party)
            snoops[snoop] = Snoop(
                target=leg_key(party),
                spy=Direction.IN,
                whisper=Direction.OUT,
                gate_open=party in listeners,
            )
            media[channel] = observer
            bridges[line_key(observer, party)] = frozenset({snoop, channel})
    return Topology(legs=legs, bridges=bridges, snoops=snoops, media=media, anchors=anchors)
