"""From what stands to what shall stand: commands in an order that is safe to break off.

Commands come in stages. Those of one stage do not depend on each other and may run side by side;
a stage begins when the one before has succeeded whole. Whatever subset of a stage succeeds, the
parties keep hearing each other, and nobody hears an observer whom he hears neither before nor
after (tests/property/test_topology.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from bridge.model.participants import Participant
from bridge.topology.objects import (
    CALL_BRIDGE,
    Direction,
    Key,
    Media,
    Snoop,
    Topology,
    is_room,
)


@dataclass(frozen=True, slots=True)
class CreateBridge:
    """Make a mixing bridge without members."""

    bridge: Key


@dataclass(frozen=True, slots=True)
class DestroyBridge:
    """Remove a bridge."""

    bridge: Key


@dataclass(frozen=True, slots=True)
class CreateSnoop:
    """Make a snoop channel, in no bridge. Asterisk makes it with its gate open."""

    snoop: Key
    target: Key
    spy: Direction
    whisper: Direction


@dataclass(frozen=True, slots=True)
class CreateMedia:
    """Make a media channel for an observer, in no bridge."""

    media: Key
    observer: Participant


@dataclass(frozen=True, slots=True)
class CreateAnchor:
    """Make a silent wideband channel, in no bridge."""

    anchor: Key


@dataclass(frozen=True, slots=True)
class RemoveChannel:
    """Hang up a channel of ours: snoop, media or anchor."""

    channel: Key


@dataclass(frozen=True, slots=True)
class AddMember:
    """Put a channel into a bridge."""

    bridge: Key
    channel: Key


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Take a channel out of its bridge."""

    bridge: Key
    channel: Key


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Let what is said to an end of a line pass: from a snoop to its target, or to a program."""

    end: Key


@dataclass(frozen=True, slots=True)
class CloseGate:
    """Let nothing pass from an end of a line to whose end it is."""

    end: Key


@dataclass(frozen=True, slots=True)
class MuteLeg:
    """Let nobody hear what is said on a leg."""

    leg: Key


@dataclass(frozen=True, slots=True)
class UnmuteLeg:
    """Let it be heard again."""

    leg: Key


Command: TypeAlias = (
    CreateBridge
    | DestroyBridge
    | CreateSnoop
    | CreateMedia
    | CreateAnchor
    | RemoveChannel
    | AddMember
    | RemoveMember
    | OpenGate
    | CloseGate
    | MuteLeg
    | UnmuteLeg
)
Stage: TypeAlias = tuple[Command, ...]


def diff(now: Topology, wanted: Topology) -> tuple[Stage, ...]:
    """Return the stages that lead from ``now`` to ``wanted``; ``()`` when nothing differs.

    Gates close first and open last; a new end of a line gets its gate before it joins a bridge;
    legs are neither made nor hung up here, only muted and put into their bridge, from one right
    into the other; who leaves the talk does so before anybody comes. Rooms that are needed no more
    are removed when all is said: nobody waits for that. A snoop that is to be in no bridge is left
    as it is made: sounds are played on it, and a command would wait for their end, with everything
    behind it on the same socket.
    """
    stale = _stale_channels(now, wanted)
    loose = stale - now.anchors
    fresh_snoops = [k for k in wanted.snoops if k not in now.snoops or k in stale]
    fresh_media = [k for k in wanted.media if k not in now.media or k in stale]
    fresh = {*fresh_snoops, *fresh_media}
    departures = [
        RemoveMember(bridge, channel)
        for channel in now.channels - stale
        if (bridge := now.bridge_of(channel)) and _goes_out(channel, now, wanted)
    ]
    joins = [
        AddMember(bridge, channel)
        for bridge, members in wanted.bridges.items()
        for channel in members
        if channel in stale or channel not in now.bridges.get(bridge, ())
    ]
    people = [j for j in joins if j.channel in wanted.legs]
    idle = [k for k in now.bridges if k not in wanted.bridges]
    stages: list[list[Command]] = [
        [
            *(CloseGate(k) for k in now.open_gates - wanted.open_gates),
            *(MuteLeg(k) for k in wanted.muted - now.muted),
        ],
        [RemoveChannel(k) for k in loose],
        [*departures],
        [DestroyBridge(k) for k in idle if not is_room(k)],
        [
            *(CreateBridge(k) for k in wanted.bridges if k not in now.bridges),
            *(CreateAnchor(k) for k in wanted.anchors - now.anchors),
        ],
        [j for j in joins if j.channel in wanted.anchors],
        [j for j in people if j.bridge != CALL_BRIDGE],
        [j for j in people if j.bridge == CALL_BRIDGE],
        [*_creations(wanted, fresh_snoops, fresh_media)],
        [CloseGate(k) for k in fresh if _shuts_first(wanted, k)],
        [j for j in joins if j.channel not in wanted.legs and j.channel not in wanted.anchors],
        [
            *(OpenGate(k) for k in wanted.open_gates if _must_open(now, fresh, wanted, k)),
            *(UnmuteLeg(k) for k in now.muted - wanted.muted),
        ],
        [RemoveChannel(k) for k in stale - loose],
        [DestroyBridge(k) for k in idle if is_room(k)],
    ]
    return tuple(tuple(sorted(stage, key=repr)) for stage in stages if stage)


def apply(topology: Topology, command: Command) -> Topology:  # noqa: C901 - a match over a closed union
    """Return what stands after ``command``, as Asterisk carries it out."""
    match command:
        case CreateBridge(bridge):
            return replace(topology, bridges={**topology.bridges, bridge: frozenset()})
        case DestroyBridge(bridge):
            bridges = {k: m for k, m in topology.bridges.items() if k != bridge}
            return replace(topology, bridges=bridges)
        case CreateSnoop(key, target, spy, whisper):
            snoop = Snoop(target, spy, whisper, gate_open=True)
            return replace(topology, snoops={**topology.snoops, key: snoop})
        case CreateMedia(key, observer):
            return replace(topology, media={**topology.media, key: Media(observer)})
        case CreateAnchor(key):
            return replace(topology, anchors=topology.anchors | {key})
        case RemoveChannel(channel):
            return without_channel(topology, channel)
        case AddMember(bridge, channel):
            bridges = {k: m - {channel} for k, m in topology.bridges.items()}
            return replace(topology, bridges={**bridges, bridge: bridges[bridge] | {channel}})
        case RemoveMember(bridge, channel):
            members = topology.bridges[bridge] - {channel}
            return replace(topology, bridges={**topology.bridges, bridge: members})
        case OpenGate(key) | CloseGate(key):
            return _with_gate(topology, key, is_open=isinstance(command, OpenGate))
        case MuteLeg(leg) | UnmuteLeg(leg):
            return _with_mute(topology, leg, is_muted=isinstance(command, MuteLeg))


def still_applies(command: Command, stands: Topology) -> bool:
    """Tell whether what a command was about has not ended while it was carried out."""
    match command:
        case AddMember(bridge, channel) | RemoveMember(bridge, channel):
            return bridge in stands.bridges and channel in stands.channels
        case OpenGate(end) | CloseGate(end):
            return end in stands.snoops or end in stands.media
        case MuteLeg(leg) | UnmuteLeg(leg):
            return leg in stands.legs
        case CreateSnoop(_, target, _, _):
            return target in stands.legs
        case _:
            return True


def without_channel(topology: Topology, channel: Key) -> Topology:
    """Return what stands when ``channel`` is gone: snoops on it end with it."""
    gone = {channel} | {k for k, s in topology.snoops.items() if s.target == channel}
    return Topology(
        legs={k: v for k, v in topology.legs.items() if k not in gone},
        bridges={k: m - gone for k, m in topology.bridges.items()},
        snoops={k: v for k, v in topology.snoops.items() if k not in gone},
        media={k: v for k, v in topology.media.items() if k not in gone},
        anchors=topology.anchors - gone,
        muted=topology.muted - gone,
    )


def _goes_out(channel: Key, now: Topology, wanted: Topology) -> bool:
    """Tell whether a channel leaves its bridge for none, or has to be out before it goes on."""
    there = wanted.bridge_of(channel)
    return there != now.bridge_of(channel) and (there is None or channel not in wanted.legs)


def _stale_channels(now: Topology, wanted: Topology) -> frozenset[Key]:
    """Return our channels that are wanted no more, or otherwise than they were made."""
    snoops = {
        k
        for k, snoop in now.snoops.items()
        if k not in wanted.snoops
        or replace(snoop, gate_open=wanted.snoops[k].gate_open) != wanted.snoops[k]
    }
    media = {
        k
        for k, media in now.media.items()
        if k not in wanted.media or wanted.media[k].owner != media.owner
    }
    return frozenset(snoops | media | (now.anchors - wanted.anchors))


def _creations(wanted: Topology, snoops: list[Key], media: list[Key]) -> list[Command]:
    made: list[Command] = [CreateMedia(k, wanted.media[k].owner) for k in media]
    for key in snoops:
        snoop = wanted.snoops[key]
        made.append(CreateSnoop(key, snoop.target, snoop.spy, snoop.whisper))
    return made


def _opens(topology: Topology, end: Key) -> bool:
    return end in topology.open_gates


def _must_open(now: Topology, fresh: set[Key], wanted: Topology, end: Key) -> bool:
    return _shuts_first(wanted, end) if end in fresh else not _opens(now, end)


def _shuts_first(wanted: Topology, end: Key) -> bool:
    """Tell whether a new channel is shut before anything else is done with it.

    A media channel that is to be heard by is not; a snoop in a bridge always is.
    """
    if end in wanted.media:
        return not _opens(wanted, end)
    return wanted.bridge_of(end) is not None or not _opens(wanted, end)


def _with_gate(topology: Topology, key: Key, *, is_open: bool) -> Topology:
    if key in topology.media:
        media = replace(topology.media[key], gate_open=is_open)
        return replace(topology, media={**topology.media, key: media})
    snoop = replace(topology.snoops[key], gate_open=is_open)
    return replace(topology, snoops={**topology.snoops, key: snoop})


def _with_mute(topology: Topology, leg: Key, *, is_muted: bool) -> Topology:
    muted = topology.muted | {leg} if is_muted else topology.muted - {leg}
    return replace(topology, muted=muted)
