"""Comparing what stands in Asterisk with what we know, after a break or an earlier run."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.ari import AriConnection, events, models
from bridge.model.errors import RequestFailedError
from bridge.model.participants import CALLER, Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.incoming import IncomingCall
from bridge.runtime.names import CallId, Names
from bridge.runtime.supervision import Supervision
from bridge.topology.objects import ANCHORS, CALL_BRIDGE, HOLD_PREFIX, SEAT_BRIDGE, Key

_log = logging.getLogger(__name__)

_NOT_FOUND = 404
_LEG = "leg."
_ENOUGH = 2


class Owner(Protocol):
    """Who has the calls: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def names(self) -> Names:
        """Reads the ids of our objects."""

    @property
    def known(self) -> frozenset[CallId]:
        """Under which ids objects in Asterisk are in use."""

    @property
    def supervision(self) -> Supervision:
        """The observers."""

    @property
    def engines(self) -> tuple[CallEngine, ...]:
        """The calls that are known."""

    def take_missed(self, event: events.StasisStart) -> None:
        """Begin a call whose arrival was missed."""

    def adopt(
        self,
        incoming: IncomingCall,
        legs: Mapping[Participant, str],
        bridges: Mapping[Key, tuple[str, frozenset[str]]],
        anchors: Mapping[Key, str],
    ) -> None:
        """Look after parties who are talking.

        legs, anchors: ids of channels. bridges: ids, and those of their members.
        """


@dataclass(slots=True)
class Remains:
    """What of a call that nobody knows was found in Asterisk."""

    bridges: dict[str, Key] = field(default_factory=dict)
    """Keys of our bridges, by their ids."""
    channels: dict[str, Key] = field(default_factory=dict)
    """Keys of our channels, by their ids."""
    inside: dict[Key, frozenset[str]] = field(default_factory=dict)
    """Ids of all channels in the call's own bridge, in those of who is held, and in an observer's
    own: his phone, which may have dialled in."""

    @property
    def members(self) -> frozenset[str]:
        """Ids of all channels in the call's own bridge."""
        return self.inside.get(CALL_BRIDGE, frozenset())

    @property
    def rooms(self) -> Mapping[Key, tuple[str, frozenset[str]]]:
        """Ids and members of the bridges that parties are in, by their keys."""
        return {
            key: (bridge, self.inside[key])
            for bridge, key in self.bridges.items()
            if key in self.inside and key != SEAT_BRIDGE
        }

    @property
    def talking(self) -> Mapping[Participant, str]:
        """The channels of the parties, if there are two or more in the call's bridge or held.

        The caller is the one who is not of our making. Should he have gone, the first of the
        others stands in his place: somebody has to be the one whose call it is.
        """
        people = frozenset[str]().union(*(members for _, members in self.rooms.values()))
        strangers = people - set(self.channels)
        legs = {
            Participant(key.removeprefix(_LEG)): i
            for i, key in sorted(self.channels.items(), key=lambda item: item[1])
            if i in people and key.startswith(_LEG)
        }
        if len(strangers) > 1 or len(strangers) + len(legs) < _ENOUGH:
            return {}
        if not strangers:
            return {CALLER: legs.pop(next(iter(legs))), **legs}
        return {CALLER: next(iter(strangers)), **legs}

    @property
    def anchors(self) -> Mapping[Key, str]:
        """The ids of the anchors in the call's bridge, by their keys."""
        inside = ((i, key) for i, key in self.channels.items() if i in self.members)
        return {key: i for i, key in inside if key in ANCHORS}


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
            if name.key in {CALL_BRIDGE, SEAT_BRIDGE} or name.key.startswith(HOLD_PREFIX):
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


async def reconcile(owner: Owner) -> None:
    """Bring calls up to date, take over what still talks, remove what nobody uses.

    Raises ServerError when Asterisk cannot be asked.
    """
    ari, names = owner.ari, owner.names
    # What comes to be after the list was made is not in it, and is not missing for that.
    legs = {engine: engine.legs for engine in owner.engines}
    seats = owner.supervision.seats
    channels = await ari.channels.list()
    bridges = await ari.bridges.list()
    states = {channel.id: channel.state for channel in channels}
    for engine, before in legs.items():
        engine.reconnected(before, states)
    owner.supervision.reconnected(seats, states)
    remains = sort_out(channels, bridges, names, owner.known)
    belongs = {member for bridge in bridges for member in bridge.channels}
    belongs |= {engine.incoming.channel_id for engine in legs}
    by_id = {channel.id: channel for channel in channels}
    for call_id, found in remains.items():
        await _settle_remains(owner, call_id, found, by_id)
    for channel in missed(channels, ari.settings.application, names, frozenset(belongs)):
        _log.info("channel %s came while no events did", channel.id)
        owner.take_missed(_arrival(channel, ari.settings.application))


async def _settle_remains(
    owner: Owner, call_id: CallId, found: Remains, by_id: Mapping[str, models.Channel]
) -> None:
    """Keep parties who talk, with their bridges; remove all else."""
    kept: set[str] = set()
    legs = found.talking
    if legs and CALL_BRIDGE in found.rooms and legs[CALLER] in by_id:
        kept = {
            *legs.values(),
            *found.anchors.values(),
            *(room for room, _ in found.rooms.values()),
        }
        owner.adopt(_incoming(by_id[legs[CALLER]], call_id), legs, found.rooms, found.anchors)
    ari = owner.ari
    people = frozenset[str]().union(*found.inside.values())
    for channel_id in {*found.channels, *people} - kept:
        _log.info("call %s: removing channel %s, left over", call_id, channel_id)
        await _removed(ari.channels.hangup(channel_id=channel_id))
    for object_id in set(found.bridges) - kept:
        _log.info("call %s: removing bridge %s, left over", call_id, object_id)
        await _removed(ari.bridges.destroy(bridge_id=object_id))


async def _removed(removal: Awaitable[None]) -> None:
    """Await a removal. What Asterisk refuses to remove must not keep us from our calls."""
    try:
        await removal
    except RequestFailedError as error:
        if error.status != _NOT_FOUND:
            _log.warning("not removed: %s", error)


def _incoming(caller: models.Channel, call_id: CallId) -> IncomingCall:
    return IncomingCall(
        call_id=call_id,
        channel_id=caller.id,
        channel_name=caller.name,
        caller_number=caller.caller.number,
        caller_name=caller.caller.name,
        callee_number=caller.dialplan.exten,
    )


def _arrival(channel: models.Channel, application: str) -> events.StasisStart:
    """Return the event that was missed, as far as the channel tells it."""
    return events.StasisStart(
        application=application,
        timestamp=channel.creationtime,
        args=tuple(channel.dialplan.app_data.split(",")[1:]),
        channel=channel,
    )
