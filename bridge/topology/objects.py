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


ANCHORS: Final = frozenset({Key("anchor.one"), Key("anchor.two")})
"""Two silent wideband members, first in the call's bridge, that settle how it mixes.

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
class Topology:
    """What stands, or is to stand, in Asterisk for one call."""

    legs: Mapping[Key, Participant] = field(default_factory=dict)
    """Channels of parties. They come and go with the parties, never by a plan."""
    bridges: Mapping[Key, frozenset[Key]] = field(default_factory=dict)
    """Members of every bridge."""
    snoops: Mapping[Key, Snoop] = field(default_factory=dict)
    media: Mapping[Key, Participant] = field(default_factory=dict)
    """Channels whose audio an observer sends and receives."""
    anchors: frozenset[Key] = frozenset()
    """Channels that say nothing and that nobody listens to: see ANCHORS."""

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


def snoop_key(observer: Participant, party: Participant) -> Key:
    """Return the key of the snoop by which ``observer`` hears, and is heard by, ``party``."""
    return Key(f"snoop.{observer}.{party}")


def media_key(observer: Participant, party: Participant) -> Key:
    """Return the key of the media channel of ``observer`` for ``party``."""
    return Key(f"media.{observer}.{party}")


def line_key(observer: Participant, party: Participant) -> Key:
    """Return the key of the private bridge between ``observer`` and ``party``."""
    return Key(f"bridge.line.{observer}.{party}")
