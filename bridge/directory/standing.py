"""What stands in Asterisk, kept up to date from facts, and who talks with whom in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from bridge.directory.facts import (
    BridgeFact,
    BridgeGone,
    ChannelFact,
    ChannelGone,
    ChannelSeen,
    Entered,
    Fact,
    Hold,
    Left,
    Snapshot,
)

_HELPERS: Final = frozenset(
    {"Announcer", "AsyncGoto", "CBAnn", "CBRec", "Message", "Recorder", "Snoop", "Surrogate"}
)
"""Technologies of channels that Asterisk makes for itself, or that only listen in."""
_DIALLING: Final = frozenset(
    {"AppDial", "AppDial2", "AppQueue", "Dial", "FollowMe", "Page", "Queue", "RetryDial"}
)
"""Applications that have somebody else behind them, or soon will."""
_DIALLED: Final = frozenset({"AppDial", "AppDial2", "AppQueue"})
"""Shown for channels that Asterisk placed (app_dial.c, dial.c, app_queue.c)."""
_LOCAL: Final = "Local"
_PARKING: Final = "Parking"
"""Creator of a parking lot's bridge (res/parking/parking_bridge.c)."""
_ZOMBIE: Final = "<ZOMBIE>"
"""What a masquerade leaves (channel.c): the channel goes on under its own id, this one ends."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Channels of people who hear one another: in one bridge, or in several joined by Local."""

    ends: frozenset[str]
    since: float


def technology(channel: ChannelFact) -> str:
    """Return the part of the name before the slash: ``PJSIP``."""
    return channel.name.partition("/")[0]


def endpoint(channel: ChannelFact) -> str:
    """Return the name without its serial number: ``PJSIP/1002``, ``Local/1003@queue``."""
    return channel.name.rpartition("-")[0] or channel.name


def seniority(channel: ChannelFact) -> tuple[bool, float, str]:
    """Order channels: those that dialled, then those that were dialled; the elder first."""
    return channel.app in _DIALLED, channel.created, channel.id


class Standing:
    """Channels and bridges, and which channel is in which bridge.

    Facts about Asterisk's helper channels are passed over. A fact may come twice.
    """

    def __init__(self) -> None:
        self.channels: dict[str, ChannelFact] = {}
        self.bridges: dict[str, BridgeFact] = {}
        self.place: dict[str, str] = {}
        """Id of the bridge that a channel is in."""
        self.holding: dict[str, frozenset[str]] = {}
        """Channels whose owner put others on hold, and the channels of those others."""
        self._members: defaultdict[str, set[str]] = defaultdict(set)
        self._locals: dict[str, str] = {}
        """Ids of Local channels, by their names."""
        self._held: set[str] = set()
        """Channels found on hold by a snapshot, which does not tell by whom."""

    def apply(self, fact: Fact) -> set[str]:
        """Take a fact in. Return the ids of channels about which something may be different.

        Those are the channels themselves and whoever was near them before; see ``near``.
        """
        match fact:
            case ChannelSeen(channel=channel):
                return self._see(channel)
            case ChannelGone(channel_id=channel_id):
                return self._forget(channel_id)
            case Entered(bridge=bridge, channel=channel):
                return self._enter(bridge, channel)
            case Left(bridge_id=bridge_id, channel=channel):
                return self._leave(channel, bridge_id)
            case BridgeGone(bridge_id=bridge_id):
                return self._forget_bridge(bridge_id)
            case Hold(channel=channel, on=on):
                return self._hold(channel, on=on)
            case Snapshot():
                return self._replace(fact)

    def near(self, channel_id: str) -> set[str]:
        """Return a channel's other half, and the members of its bridge if they hear each other."""
        found = set()
        bridge_id = self.place.get(channel_id)
        if bridge_id is not None and not self.bridges[bridge_id].waiting:
            found |= self._members[bridge_id]
        channel = self.channels.get(channel_id)
        if channel is not None and (other := self._other_half(channel)):
            found.add(other)
        return found

    def parked(self, channel_id: str) -> bool:
        """Whether a channel is in a parking lot."""
        bridge = self.bridges.get(self.place.get(channel_id, ""))
        return bridge is not None and bridge.waiting and bridge.creator == _PARKING

    def on_hold(self, channel_id: str, mates: Collection[str]) -> bool:
        """Whether the owner of a channel hears music because of somebody else's wish.

        mates: channels that are in one talk with his; empty when he talks with nobody.
        """
        if self.parked(channel_id) or channel_id in self._held:
            return True
        holders = (h for h, held in self.holding.items() if channel_id in held)
        return any(not mates or holder in mates for holder in holders)

    def is_end(self, channel_id: str) -> bool:
        """Whether a channel is up, and somebody, or something that speaks, is at its end.

        With a half of a Local channel there is, when the other half runs an application of its
        own, such as a voice menu, and does not just lead to somebody else.
        """
        channel = self.channels.get(channel_id)
        if channel is None or not channel.up:
            return False
        if technology(channel) != _LOCAL:
            return True
        other = self.channels.get(self._other_half(channel))
        return (
            other is not None
            and other.up
            and other.id not in self.place
            and other.app not in _DIALLING
        )

    def talks(self, among: Iterable[str]) -> list[Talk]:
        """Return who talks with whom: each at least two ends, no end twice.

        among: ids of channels; every talk that one of them may be part of.
        """
        places = (self.place.get(channel_id) for channel_id in among)
        bridges = dict.fromkeys(b for b in places if b and not self.bridges[b].waiting)
        found = []
        while bridges:
            joined = self._joined(next(iter(bridges)))
            for bridge_id in joined:
                bridges.pop(bridge_id, None)
            inside = (channel for bridge_id in joined for channel in self._members[bridge_id])
            ends = frozenset(filter(self.is_end, inside))
            if len(ends) > 1:
                found.append(Talk(ends, min(self.bridges[b].created for b in joined)))
        return found

    # --- inside ---------------------------------------------------------------------------------

    def _joined(self, bridge_id: str) -> list[str]:
        """Return a bridge and those that Local channels join to it."""
        joined = {bridge_id: None}
        waiting = [bridge_id]
        while waiting:
            for channel_id in self._members[waiting.pop()]:
                beyond = self.place.get(self._other_half(self.channels[channel_id]))
                if beyond and beyond not in joined and not self.bridges[beyond].waiting:
                    joined[beyond] = None
                    waiting.append(beyond)
        return list(joined)

    def _other_half(self, channel: ChannelFact) -> str:
        """Return the id of a Local channel's other half, empty when there is none."""
        stem, _, half = channel.name.rpartition(";")
        return self._locals.get(f"{stem};{'2' if half == '1' else '1'}", "")

    def _see(self, channel: ChannelFact) -> set[str]:
        if technology(channel) in _HELPERS:
            return set()
        if channel.name.endswith(_ZOMBIE):
            return self._forget(channel.id)
        if self.channels.get(channel.id) == channel:
            return set()
        self.channels[channel.id] = channel
        if technology(channel) == _LOCAL:
            self._locals[channel.name] = channel.id
        return {channel.id}

    def _forget(self, channel_id: str) -> set[str]:
        if channel_id not in self.channels:
            return set()
        touched = {channel_id} | self.near(channel_id) | self.holding.pop(channel_id, frozenset())
        self._depart(channel_id)
        self._locals.pop(self.channels.pop(channel_id).name, None)
        return touched

    def _enter(self, bridge: BridgeFact, channel: ChannelFact) -> set[str]:
        touched = self._see(channel)
        if channel.id not in self.channels:
            return touched
        if self.bridges.get(bridge.id) != bridge:
            self.bridges[bridge.id] = bridge
            touched |= self._members[bridge.id]
        if self.place.get(channel.id) != bridge.id:
            touched |= {channel.id} | self.near(channel.id)
            self._depart(channel.id)
            self._put(channel.id, bridge.id)
        return touched

    def _leave(self, channel: ChannelFact, bridge_id: str) -> set[str]:
        # One that has ended does not come back by leaving late.
        touched = self._see(channel) if channel.id in self.channels else set()
        if self.place.get(channel.id) == bridge_id:
            touched |= {channel.id} | self.near(channel.id)
            self._depart(channel.id)
        return touched

    def _put(self, channel_id: str, bridge_id: str) -> None:
        self.place[channel_id] = bridge_id
        self._members[bridge_id].add(channel_id)

    def _depart(self, channel_id: str) -> None:
        """Take a channel out of its bridge."""
        if (bridge_id := self.place.pop(channel_id, None)) is not None:
            self._members[bridge_id].discard(channel_id)
        self._held.discard(channel_id)

    def _forget_bridge(self, bridge_id: str) -> set[str]:
        if self.bridges.pop(bridge_id, None) is None:
            return set()
        members = self._members.pop(bridge_id, set())
        for channel_id in members:
            del self.place[channel_id]
        self._held -= members
        return members

    def _hold(self, channel: ChannelFact, *, on: bool) -> set[str]:
        if channel.id not in self.channels:
            return set()
        touched = self._see(channel)
        mates = self._mates(channel.id)
        before = self.holding.get(channel.id)
        if on:
            self.holding[channel.id] = (before or frozenset()) | mates
        elif before is not None:
            del self.holding[channel.id]
        if before != self.holding.get(channel.id):
            touched |= {channel.id} | mates | (before or frozenset())
        if not on:
            touched |= self._held & mates
            self._held -= mates
        return touched

    def _mates(self, channel_id: str) -> frozenset[str]:
        """Return the other channels of the talk that a channel is in."""
        talks = self.talks({channel_id})
        return talks[0].ends - {channel_id} if talks else frozenset()

    def _replace(self, snapshot: Snapshot) -> set[str]:
        before = self.channels.keys()
        self.channels, self.bridges, self.place, self.holding = {}, {}, {}, {}
        self._members, self._locals = defaultdict(set), {}
        for channel in snapshot.channels:
            self._see(channel)
        for bridge, members in snapshot.bridges:
            self.bridges[bridge.id] = bridge
            for member in members & self.channels.keys():
                # One who moved while they were listed is in two of them: the later one is true.
                self._depart(member)
                self._put(member, bridge.id)
        self._held = set(snapshot.held & self.channels.keys())
        # Where only one of those who talk hears no music, it is he who holds.
        for talk in self.talks(self.channels):
            held = talk.ends & self._held
            if held and len(talk.ends - held) == 1:
                (holder,) = talk.ends - held
                self.holding[holder] = held
                self._held -= held
        return set(before | self.channels.keys())
