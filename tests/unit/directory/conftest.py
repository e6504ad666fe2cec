"""A small PBX in facts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from bridge.directory import (
    BridgeFact,
    Change,
    ChannelFact,
    ChannelGone,
    Directory,
    Entered,
    Fact,
    Left,
    LiveCall,
)
from bridge.model.ids import CallId


@dataclass
class World:
    """Facts by short names, given to a directory; every change that came of them is kept."""

    directory: Directory
    changes: list[Change] = field(default_factory=list)
    channels: dict[str, ChannelFact] = field(default_factory=dict)
    bridges: dict[str, BridgeFact] = field(default_factory=dict)
    time: float = 1000.0

    def step(self, *facts: Fact) -> tuple[Change, ...]:
        """Give facts to the directory."""
        changes = self.directory.step(*facts)
        self.changes.extend(changes)
        return changes

    def channel(self, name: str, *, app: str = "", up: bool = True) -> ChannelFact:
        """Return a channel, made at its first mention: ``1001`` is PJSIP/1001, id ``c-1001``."""
        if name not in self.channels:
            self.time += 1
            full = name if "/" in name else f"PJSIP/{name}-00000001"
            self.channels[name] = ChannelFact(
                f"c-{name}", full, up, self.time, number=name, app=app
            )
        return self.channels[name]

    def bridge(self, name: str, *, parking: bool = False) -> BridgeFact:
        """Return a bridge, made at its first mention."""
        if name not in self.bridges:
            self.time += 1
            creator = "Parking" if parking else ""
            self.bridges[name] = BridgeFact(name, self.time, waiting=parking, creator=creator)
        return self.bridges[name]

    def enter(self, bridge: str, *names: str) -> tuple[Change, ...]:
        """Let channels enter a bridge, in one step."""
        return self.step(*(Entered(self.bridge(bridge), self.channel(n)) for n in names))

    def leave(self, bridge: str, *names: str) -> tuple[Change, ...]:
        """Let channels leave a bridge, in one step."""
        return self.step(*(Left(bridge, self.channel(n)) for n in names))

    def gone(self, *names: str) -> tuple[Change, ...]:
        """End channels."""
        return self.step(*(ChannelGone(self.channel(n).id) for n in names))

    def dialled(self, caller: str, callee: str, bridge: str = "b") -> LiveCall:
        """Let one dial another, as Dial() does: the callee is bridged first."""
        self.channel(caller, app="Dial")
        self.channel(callee, app="AppDial")
        self.enter(bridge, callee, caller)
        call = self.directory.call_of(self.channel(caller).id)
        assert call is not None
        return call

    def who(self) -> list[dict[str, str]]:
        """Per call, who has which role, by the short names."""
        short = {channel.id: name for name, channel in self.channels.items()}
        return [
            {str(role): short[c] for role, c in call.channels.items()}
            for call in self.directory.calls
        ]


@pytest.fixture
def world() -> World:
    numbers = itertools.count(1)
    return World(Directory(lambda: CallId(f"{next(numbers):012x}")))
