"""What of a call, or of somebody who observes, is found in Asterisk and known to nobody. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bridge.ari import models
from bridge.model.ids import CallId
from bridge.model.participants import CALLER, Participant
from bridge.runtime.names import Names
from bridge.topology.objects import ANCHOR_PREFIX, CALL_BRIDGE, SEAT_BRIDGE, Key, is_room

_LEG = "leg."
_ENOUGH = 2
_STRANGER = Participant("stranger")
"""Who came into a call by himself, whose caller we have rung."""


@dataclass(slots=True)
class Remains:
    """What of a call that nobody knows was found in Asterisk."""

    bridges: dict[str, Key] = field(default_factory=dict)
    """Keys of our bridges, by their ids."""
    channels: dict[str, Key] = field(default_factory=dict)
    """Keys of our channels, by their ids."""
    inside: dict[Key, frozenset[str]] = field(default_factory=dict)
    """Ids of all channels in the bridges that parties are put into, and in an observer's own: his
    phone, which may have dialled in."""

    @property
    def members(self) -> frozenset[str]:
        """Ids of all channels in the call's own bridge."""
        return self.inside.get(CALL_BRIDGE, frozenset())

    @property
    def rooms(self) -> Mapping[Key, tuple[str, frozenset[str]]]:
        """Ids and members of the bridges that people are in, by their keys."""
        return {
            key: (bridge, self.inside[key])
            for bridge, key in self.bridges.items()
            if key in self.inside
        }

    @property
    def people(self) -> frozenset[str]:
        """Ids of all channels in these bridges, and of legs that are in none."""
        legs = {i for i, key in self.channels.items() if key.startswith(_LEG)}
        inside = frozenset[str]().union(*self.inside.values())
        return frozenset(legs | (inside - self.channels.keys()))

    @property
    def seat(self) -> str | None:
        """The id of the phone of somebody who observes, if these are the remains of one."""
        if SEAT_BRIDGE not in self.inside:
            return None
        sitting = sorted(self.people & self.inside[SEAT_BRIDGE])
        return sitting[0] if len(sitting) == 1 else None

    @property
    def talking(self) -> Mapping[Participant, str]:
        """The channels of the parties, if there are two or more in the call's bridge or held.

        The caller is the one who is not of our making, unless we have rung the caller, too. Should
        he have gone, the first of the others stands in his place: somebody has to be the one whose
        call it is.
        """
        people = frozenset[str]().union(*self.inside.values())
        strangers = people - set(self.channels)
        legs = {
            Participant(key.removeprefix(_LEG)): i
            for i, key in sorted(self.channels.items(), key=lambda item: item[1])
            if i in people and key.startswith(_LEG)
        }
        if len(strangers) > 1 or len(strangers) + len(legs) < _ENOUGH:
            return {}
        if CALLER in legs:
            return legs | dict(zip([_STRANGER], strangers, strict=False))
        if not strangers:
            return {CALLER: legs.pop(next(iter(legs))), **legs}
        return {CALLER: next(iter(strangers)), **legs}

    @property
    def anchors(self) -> Mapping[Key, str]:
        """The ids of the anchors in bridges that people are in, by their keys."""
        inside = frozenset[str]().union(*self.inside.values())
        there = ((i, key) for i, key in self.channels.items() if i in inside)
        return {key: i for i, key in there if key.startswith(ANCHOR_PREFIX)}


def sort_out(
    channels: Iterable[models.Channel],
    bridges: Iterable[models.Bridge],
    names: Names,
    known: frozenset[CallId],
) -> Mapping[CallId, Remains]:
    """Return what belongs to calls of this application that are not ``known``. Pure."""
    remains: defaultdict[CallId, Remains] = defaultdict(Remains)
    for channel in channels:
        name = names.read(channel.id)
        if name is not None and name.call not in known:
            remains[name.call].channels[channel.id] = name.key
    for bridge in bridges:
        name = names.read(bridge.id)
        if name is not None and name.call not in known:
            found = remains[name.call]
            found.bridges[bridge.id] = name.key
            if is_room(name.key) or name.key == SEAT_BRIDGE:
                found.inside[name.key] = frozenset(bridge.channels)
    return remains


def missed(
    channels: Iterable[models.Channel], application: str, names: Names, known: frozenset[str]
) -> list[models.Channel]:
    """Return channels that wait in the application and that no call knows. Pure.

    known: channel ids that belong to somebody.
    """
    waiting = []
    for channel in channels:
        data = channel.dialplan
        inside = data.app_name == "Stasis" and data.app_data.split(",")[0] == application
        if inside and names.read(channel.id) is None and channel.id not in known:
            waiting.append(channel)
    return waiting
