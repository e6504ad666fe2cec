"""Asterisk's objects as far as they decide who hears whom.

Objects carry keys of ours (``snoop.ai.caller``), not Asterisk's ids: a plan is made before
anything exists, and an id is never used twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NewType

from bridge.model.participants import Participant

Key = NewType("Key", str)
"""Name of an object within its call."""

CALL_BRIDGE: Final = Key("bridge.call")
"""The bridge in which the parties talk to one another."""

SEAT_BRIDGE: Final = Key("bridge.seat")
"""The bridge that a seated observer is alone in, with anchors, so that he can be whispered to."""

PULSE_PREFIX: Final = "pulse."
"""Begins the keys of channels whose end silences somebody; they belong to no plan."""

HOLD_PREFIX: Final = "bridge.hold."
"""Begins the keys of bridges that keep somebody with music."""

APART_PREFIX: Final = "bridge.apart."
"""Begins the keys of bridges that somebody is alone in, with anchors, apart from the others."""

ANCHOR_PREFIX: Final = "anchor."
"""Begins the keys of anchors."""

ANCHORS: Final = frozenset({Key("anchor.one"), Key("anchor.two")})
"""Two silent wideband members, first in a bridge that people are in, that settle how it mixes.

With a leg they are three, so Asterisk mixes by softmix, which feeds a leg even when nobody else
sends: without that a whisper is not heard (Asterisk issue 1966). And softmix finds two wideband
channels at its first tick and mixes at 16 kHz from then on: alone it starts at 8 kHz, looks again
two seconds later (bridge_softmix.c) and loses one or two frames of everybody. See docs/adr/0003.
"""


class Direction(StrEnum):
    """Seen from the channel that is snooped on (res_stasis_snoop.c)."""

    NONE = "none"
    IN = "in"
    """What the channel's owner says."""
    OUT = "out"
    """What the channel's owner hears."""


@dataclass(frozen=True, slots=True)
class Snoop:
    """A snoop channel. ``gate_open``: not muted in direction ``out``, so a whisper passes."""

    target: Key
    spy: Direction
    whisper: Direction
    gate_open: bool = False


@dataclass(frozen=True, slots=True)
class Media:
    """A channel whose audio a program sends and receives.

    ``gate_open``: not muted in direction ``out``, so the program gets what is said to it.
    """

    owner: Participant
    gate_open: bool = True


@dataclass(frozen=True, slots=True)
class Topology:
    """What stands, or is to stand, in Asterisk: for a call, for an observer, for a gallery."""

    legs: Mapping[Key, Participant] = field(default_factory=dict)
    """Channels of people: parties and seated observers. They come and go with them, never by a
    plan."""
    bridges: Mapping[Key, frozenset[Key]] = field(default_factory=dict)
    """Members of every bridge."""
    snoops: Mapping[Key, Snoop] = field(default_factory=dict)
    media: Mapping[Key, Media] = field(default_factory=dict)
    anchors: frozenset[Key] = frozenset()
    """Channels that say nothing and that nobody listens to: see ANCHORS."""
    muted: frozenset[Key] = frozenset()
    """Legs that are muted in direction ``in``: nobody hears what is said there."""

    @property
    def open_gates(self) -> frozenset[Key]:
        """Snoops and media channels through which somebody hears."""
        snoops = {key for key, snoop in self.snoops.items() if snoop.gate_open}
        return frozenset(snoops | {key for key, media in self.media.items() if media.gate_open})

    @property
    def channels(self) -> frozenset[Key]:
        """Keys of all channels."""
        ours = frozenset(self.snoops) | frozenset(self.media) | self.anchors
        return frozenset(self.legs) | ours

    def bridge_of(self, channel: Key) -> Key | None:
        """Return the bridge that ``channel`` is in, None when it is in none."""
        return next((key for key, members in self.bridges.items() if channel in members), None)


def leg_key(party: Participant) -> Key:
    """Return the key of a party's channel."""
    return Key(f"leg.{party}")


def snoop_key(far: Participant, near: Participant) -> Key:
    """Return the key of the snoop on ``near``'s channel that is his end of the line to ``far``."""
    return Key(f"snoop.{far}.{near}")


def media_key(near: Participant, far: Participant) -> Key:
    """Return the key of the media channel that is the program ``near``'s end of that line."""
    return Key(f"media.{near}.{far}")


def cue_key(observer: Participant) -> Key:
    """Return the key of the snoop by which a seated observer alone hears short tones."""
    return Key(f"snoop.cue.{observer}")


def pulse_key(observer: Participant) -> Key:
    """Return the key of the channel whose end silences a seated observer; it is in no bridge."""
    return Key(f"{PULSE_PREFIX}{observer}")


def line_key(one: Participant, other: Participant) -> Key:
    """Return the key of the private bridge between an observer and a party, or two observers."""
    return Key(f"bridge.line.{one}.{other}")


def apart_key(party: Participant) -> Key:
    """Return the key of the bridge that somebody is alone in, apart from the other parties."""
    return Key(f"{APART_PREFIX}{party}")


def anchors_of(party: Participant) -> frozenset[Key]:
    """Return the keys of the anchors of that bridge."""
    return frozenset(Key(f"{anchor}.{party}") for anchor in ANCHORS)


def is_room(bridge: Key) -> bool:
    """Tell whether a bridge is one that parties are put into: to talk, to wait, to be apart."""
    return bridge == CALL_BRIDGE or bridge.startswith((HOLD_PREFIX, APART_PREFIX))


def hold_key(party: Participant) -> Key:
    """Return the key of the bridge that keeps a held party with music."""
    return Key(f"{HOLD_PREFIX}{party}")
