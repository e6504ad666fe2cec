"""What is known of Asterisk's channels and bridges, and what may happen to them.

Times are seconds since 1970 by Asterisk's own clock, so that they can be compared whichever event
or list they came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ChannelFact:
    """A channel as Asterisk shows it."""

    id: str
    name: str
    """Such as ``PJSIP/1002-00000003``, ``Local/1003@queue-00000001;1``."""
    up: bool
    """Answered, in whichever direction."""
    created: float
    number: str = ""
    """Its owner's number (caller id)."""
    owner: str = ""
    """Its owner's name (caller id)."""
    app: str = ""
    """Dialplan application that it runs: ``Dial``; ``AppDial`` for a channel that Dial made."""


@dataclass(frozen=True, slots=True)
class BridgeFact:
    """A bridge as Asterisk shows it."""

    id: str
    created: float
    waiting: bool = False
    """Its members do not hear one another (a holding bridge)."""
    creator: str = ""
    """Who made it: ``Parking``, ``Stasis``, empty for that of a Dial()."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that stands at one moment."""

    channels: tuple[ChannelFact, ...] = ()
    bridges: tuple[tuple[BridgeFact, frozenset[str]], ...] = ()
    """Every bridge with the ids of its members."""
    held: frozenset[str] = frozenset()
    """Ids of channels whose owner was put on hold by the other side."""


@dataclass(frozen=True, slots=True)
class ChannelSeen:
    """A channel came, or something about it changed."""

    channel: ChannelFact


@dataclass(frozen=True, slots=True)
class ChannelGone:
    """A channel has ended."""

    channel_id: str


@dataclass(frozen=True, slots=True)
class Entered:
    """A channel is in a bridge, and so in no other."""

    bridge: BridgeFact
    channel: ChannelFact


@dataclass(frozen=True, slots=True)
class Left:
    """A channel is not in this bridge any more."""

    bridge_id: str
    channel: ChannelFact


@dataclass(frozen=True, slots=True)
class BridgeGone:
    """A bridge has ended, and nobody is in it."""

    bridge_id: str


@dataclass(frozen=True, slots=True)
class Hold:
    """The owner of a channel puts whoever he talks with on hold, or takes them back."""

    channel: ChannelFact
    on: bool


Fact: TypeAlias = ChannelSeen | ChannelGone | Entered | Left | BridgeGone | Hold | Snapshot
"""A Snapshot replaces all that was known; the others change it. Each may come twice."""
