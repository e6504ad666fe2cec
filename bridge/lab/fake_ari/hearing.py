"""Who hears whom in the fake server, from its own objects: what a measurement would show.

Written from Asterisk's ways alone (main/audiohook.c, res_stasis_snoop.c, bridges), so that it can
bear witness against ``bridge.topology``. Counted is by how many ways a voice arrives: 2 is heard
twice, at double level. Left out is what needs a clock: whether frames flow.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bridge.lab.fake_ari.objects import FakeChannel, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.lab.fake_ari.world import World

Voices = Counter[str]
"""Ids of channels whose far sides are heard, and by how many ways each."""
ENDS = {Kind.PHONE, Kind.MEDIA}
"""Channels with somebody at the far side."""


def hearing(world: World) -> dict[str, dict[str, int]]:
    """Return for every channel with somebody at its far side whom he hears, and how often."""
    listener = _Listener(world)
    ends = [channel for channel in world.channels.values() if channel.kind in ENDS]
    return {channel.id: dict(listener.hears(channel, frozenset())) for channel in ends}


class _Listener:
    """Follows voices back from an ear. ``path``: where it has been, so that loops end."""

    def __init__(self, world: World) -> None:
        self._channels = world.channels
        self._bridges = world.bridges
        self._snoops: dict[str, list[FakeChannel]] = {}
        for channel in world.channels.values():
            if channel.target is not None:
                self._snoops.setdefault(channel.target, []).append(channel)

    def hears(self, channel: FakeChannel, path: frozenset[str]) -> Voices:
        """Return what is sent to the far side of a channel: its bridge and who whispers to it."""
        if "out" in channel.muted:
            return Counter()
        return self._written(channel, path) + self._whispered(channel, "out", path)

    def _says(self, channel: FakeChannel, path: frozenset[str]) -> Voices:
        """Return what comes from a channel, before anybody whispers as if it spoke."""
        if "in" in channel.muted:
            return Counter()
        if channel.kind is not Kind.SNOOP:
            return Counter([channel.id] if channel.kind in ENDS else [])
        target = self._channels.get(channel.target or "")
        if target is None or channel.id in path:
            return Counter()
        path |= {channel.id}
        spied: Voices = Counter()
        if channel.spy in {"in", "both"}:
            spied += self._says(target, path)
        if channel.spy in {"out", "both"} and "out" not in target.muted:
            spied += self._written(target, path)
        return spied

    def _written(self, channel: FakeChannel, path: frozenset[str]) -> Voices:
        """Return what a channel's bridge writes to it."""
        bridge = self._bridges.get(channel.bridge or "")
        if bridge is None or "holding" in bridge.kind:
            return Counter()
        others = (self._channels[member] for member in bridge.channels if member != channel.id)
        return _sum(
            self._says(other, path) + self._whispered(other, "in", path) for other in others
        )

    def _whispered(self, channel: FakeChannel, direction: str, path: frozenset[str]) -> Voices:
        """Return what snoops on a channel whisper in a direction; mute ``out`` is their gate."""
        mouths = (
            snoop
            for snoop in self._snoops.get(channel.id, ())
            if snoop.whisper in {direction, "both"}
            and "out" not in snoop.muted
            and snoop.id not in path
        )
        return _sum(self._written(snoop, path | {snoop.id}) for snoop in mouths)


def _sum(parts: Iterable[Voices]) -> Voices:
    total: Voices = Counter()
    for part in parts:
        total += part
    return total
