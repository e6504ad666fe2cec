"""What stands in Asterisk, kept up to date from facts, and who talks with whom in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
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
        self._locals: dict[str, str] = {}
        """Ids of Local channels, by their names."""
        self.place: dict[str, str] = {}
        """Id of the bridge that a channel is in."""
        self.holding: dict[str, frozenset[str]] = {}
        """Channels whose owner put others on hold, and the channels of those others."""
        self._held: set[str] = set()
        """Channels found on hold by a snapshot, which does not tell by whom."""

    def apply(self, fact: Fact) -> bool:
        """Take a fact in. Return whether anything is different now."""
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
                self._replace(fact)
                return True

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
        if technology(channel) != "Local":
            return True
        other = self.channels.get(self._other_half(channel))
        return (
            other is not None
            and other.up
            and other.id not in self.place
            and other.app not in _DIALLING
        )

    def talks(self) -> list[Talk]:
        """Return who talks with whom: each at least two ends, no end twice."""
        members: defaultdict[str, list[str]] = defaultdict(list)
        for channel_id, bridge_id in self.place.items():
            if not self.bridges[bridge_id].waiting:
                members[bridge_id].append(channel_id)
        found = []
        open_bridges = dict.fromkeys(members)
        while open_bridges:
            joined = self._joined(next(iter(open_bridges)), members)
            for bridge_id in joined:
                open_bridges.pop(bridge_id, None)
            inside = (channel for bridge_id in joined for channel in members[bridge_id])
            ends = frozenset(filter(self.is_end, inside))
            if len(ends) > 1:
                found.append(Talk(ends, min(self.bridges[b].created for b in joined)))
        return found

    # --- inside ---------------------------------------------------------------------------------

    def _joined(self, bridge_id: str, members: Mapping[str, list[str]]) -> list[str]:
        """Return a bridge and those that Local channels join to it."""
        joined = {bridge_id: None}
        waiting = [bridge_id]
        while waiting:
            for channel_id in members[waiting.pop()]:
                beyond = self.place.get(self._other_half(self.channels[channel_id]), "")
                if beyond in members and beyond not in joined:
                    joined[beyond] = None
                    waiting.append(beyond)
        return list(joined)

    def _other_half(self, channel: ChannelFact) -> str:
        """Return the id of a Local channel's other half, empty when there is none."""
        stem, _, half = channel.name.rpartition(";")
        return self._locals.get(f"{stem};{'2' if half == '1' else '1'}", "")

    def _see(self, channel: ChannelFact) -> bool:
        if technology(channel) in _HELPERS:
            return False
        if channel.name.endswith(_ZOMBIE):
            return self._forget(channel.id)
        before = self.channels.get(channel.id)
        self.channels[channel.id] = channel
        if technology(channel) == "Local":
            self._locals[channel.name] = channel.id
        return before != channel

    def _forget(self, channel_id: str) -> bool:
        self._depart(channel_id)
        self.holding.pop(channel_id, None)
        channel = self.channels.pop(channel_id, None)
        if channel is None:
            return False
        self._locals.pop(channel.name, None)
        return True

    def _enter(self, bridge: BridgeFact, channel: ChannelFact) -> bool:
        seen = self._see(channel)
        if channel.id not in self.channels:
            return seen
        news = self.bridges.get(bridge.id) != bridge
        self.bridges[bridge.id] = bridge
        if self.place.get(channel.id) == bridge.id:
            return seen or news
        self.place[channel.id] = bridge.id
        self._held.discard(channel.id)
        return True

    def _leave(self, channel: ChannelFact, bridge_id: str) -> bool:
        # One that has ended does not come back by leaving late.
        seen = channel.id in self.channels and self._see(channel)
        if self.place.get(channel.id) != bridge_id:
            return seen
        self._depart(channel.id)
        return True

    def _depart(self, channel_id: str) -> None:
        """Take a channel out of its bridge."""
        self.place.pop(channel_id, None)
        self._held.discard(channel_id)

    def _forget_bridge(self, bridge_id: str) -> bool:
        for channel_id in [c for c, place in self.place.items() if place == bridge_id]:
            self._depart(channel_id)
        return self.bridges.pop(bridge_id, None) is not None

    def _hold(self, channel: ChannelFact, *, on: bool) -> bool:
        if channel.id not in self.channels:
            return False
        seen = self._see(channel)
        mates = self._mates(channel.id)
        before, held = dict(self.holding), len(self._held)
        if on:
            self.holding[channel.id] = self.holding.get(channel.id, frozenset()) | mates
        else:
            self.holding.pop(channel.id, None)
            self._held -= mates
        return seen or before != self.holding or held != len(self._held)

    def _mates(self, channel_id: str) -> frozenset[str]:
        """Return the other channels of the talk that a channel is in."""
        talk = next((t.ends for t in self.talks() if channel_id in t.ends), frozenset())
        return talk - {channel_id}

    def _replace(self, snapshot: Snapshot) -> None:
        self.channels, self.bridges, self.place, self._locals = {}, {}, {}, {}
        for channel in snapshot.channels:
            self._see(channel)
        for bridge, members in snapshot.bridges:
            self.bridges[bridge.id] = bridge
            self.place.update(dict.fromkeys(self._known(members), bridge.id))
        # Where only one of those who talk hears no music, it is he who holds.
        self._held = set(snapshot.held & self.channels.keys())
        self.holding = {}
        for talk in self.talks():
            held = talk.ends & self._held
            if held and len(talk.ends - held) == 1:
                (holder,) = talk.ends - held
                self.holding[holder] = held
                self._held -= held

    def _known(self, members: frozenset[str]) -> Iterator[str]:
        return (member for member in members if member in self.channels)
