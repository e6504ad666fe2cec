"""A toy of Asterisk: what stands, by whose it is, and commands that may fail. No IO."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import replace

from bridge.model.audibility import Wanted
from bridge.model.participants import Participant
from bridge.topology.audibility import audibility
from bridge.topology.diff import (
    AddMember,
    CloseGate,
    MuteLeg,
    OpenGate,
    RemoveChannel,
    RemoveMember,
    UnmuteLeg,
    apply,
    diff,
    still_applies,
    without_channel,
)
from bridge.topology.objects import HOLD_PREFIX, Key, Media, Snoop, Topology, leg_key
from bridge.topology.planner import plan
from tests.support.script import Cells

ATTEMPTS = 3
AUDIBLE = (AddMember, RemoveMember, RemoveChannel, OpenGate, CloseGate, MuteLeg, UnmuteLeg)
"""What may change who hears whom: an object in no bridge does not."""


class ToyAsterisk:
    """What stands, by whose it is; legs are everybody's."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.objects: dict[str, Topology] = {}
        self.legs: set[str] = set()
        self.failing = 0.0
        """How likely a command fails."""
        self.watch: Callable[[], None] = lambda: None
        """Called after every command."""

    def arrange(
        self, owner: str, wanted: Wanted, legs: frozenset[str]
    ) -> Generator[None, None, bool]:
        """Make what is wanted stand; return whether it does. ``legs``: those it is about."""
        for _ in range(ATTEMPTS):
            stands = self._with_legs(self.objects.get(owner, Topology()), legs & self.legs)
            self.objects[owner] = stands
            present = wanted.among(frozenset(map(Participant, self.legs)))
            target = replace(plan(present), legs=stands.legs)
            if (yield from self._run(owner, target)):
                return True
        return False

    def _run(self, owner: str, target: Topology) -> Generator[None, None, bool]:
        for stage in diff(self.objects[owner], target):
            commands = list(stage)
            self._dice.shuffle(commands)
            failed = False
            for command in commands:
                if self.failing and self._dice.random() < self.failing:
                    failed = True
                elif still_applies(command, stands := self.objects[owner]):
                    self.objects[owner] = apply(stands, command)
                    if isinstance(command, AUDIBLE):
                        self.watch()
                yield
            if failed:
                return False
        return True

    def clear(self, owner: str) -> None:
        """Remove everything of somebody's."""
        self.objects.pop(owner, None)
        self.watch()

    def hang_up(self, name: str) -> None:
        """Let somebody's channel end."""
        self.legs.discard(name)
        leg = leg_key(Participant(name))
        self.objects = {owner: without_channel(t, leg) for owner, t in self.objects.items()}

    def heard(self) -> Cells:
        """Return who hears whom. Fails when a voice is heard twice."""
        cells = audibility(self._whole())
        assert set(cells.values()) <= {1}, f"heard more than once: {cells}"
        return frozenset(cells)

    def _whole(self) -> Topology:
        """Return everything at once. Keys are unique for one owner alone, but for those of legs."""
        legs = {leg_key(Participant(name)): Participant(name) for name in self.legs}
        bridges: dict[Key, frozenset[Key]] = {}
        snoops: dict[Key, Snoop] = {}
        media: dict[Key, Media] = {}
        muted: frozenset[Key] = frozenset()
        for owner, its in self.objects.items():
            names = {key: Key(f"{owner} {key}") for key in (*its.snoops, *its.media)}
            snoops |= {names[key]: snoop for key, snoop in its.snoops.items()}
            media |= {names[key]: end for key, end in its.media.items()}
            muted |= its.muted
            for key, members in its.bridges.items():
                if not key.startswith(HOLD_PREFIX):
                    ends = frozenset(names.get(m, m) for m in members - its.anchors)
                    bridges[Key(f"{owner} {key}")] = ends
        return Topology(legs, bridges, snoops, media, muted=muted)

    @staticmethod
    def _with_legs(stands: Topology, names: frozenset[str]) -> Topology:
        wanted = {leg_key(Participant(name)): Participant(name) for name in names}
        for leg in stands.legs.keys() - wanted.keys():
            stands = without_channel(stands, leg)
        return replace(stands, legs={**stands.legs, **wanted})
