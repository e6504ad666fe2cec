"""Random scripts against the pure core, command by command, and with commands that fail."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import pytest

from tests.property.puppets import Puppets
from tests.support.script import (
    OWN,
    Arrange,
    Cells,
    Come,
    Drop,
    Go,
    HangUp,
    Hold,
    Move,
    Mute,
    Scene,
    Step,
    TakeOver,
    Turn,
    after,
    on_the_way,
    told,
)
from tests.support.stage import is_possible
from tests.support.writing import write

SCRIPTS = int(os.environ.get("CALLBRIDGE_SCRIPTS", "400"))
"""How many of each kind; more of them for a longer run."""
OPERATIONS = 40

pytestmark = pytest.mark.timeout(120 + SCRIPTS)


Script: TypeAlias = Callable[[int], Iterable[Step]]
"""Makes a script of a seed."""


def write_many(seed: int) -> Iterable[Step]:
    """Write a script of many operations."""
    return write(seed, OPERATIONS)


class Guard:
    """Looks who hears whom after every command of a step."""

    def __init__(self, puppets: Puppets) -> None:
        self._puppets = puppets
        self._allowed: Cells = frozenset()
        self._kept: Cells = frozenset()
        self.looks = 0
        puppets.asterisk.watch = self._look

    def expect(self, allowed: Cells, kept: Cells) -> None:
        """Say what may be heard from now on, and what must be."""
        self._allowed, self._kept = allowed, kept

    def _look(self) -> None:
        self.looks += 1
        now = self._puppets.asterisk.heard()
        assert now <= self._allowed, f"also {set(now - self._allowed)}"
        assert now >= self._kept, f"not {set(self._kept - now)}"


def spread(scenes: list[Scene]) -> tuple[Cells, Cells]:
    """Return what is heard in any of the scenes, and in all."""
    cells = [scene.cells for scene in scenes]
    return frozenset().union(*cells), frozenset.intersection(*cells)


def play(seed: int, script: Script = write_many) -> int:
    """Play a script in which everything succeeds; return how often it was looked."""
    puppets = Puppets(random.Random(seed))
    guard = Guard(puppets)
    scene = Scene()
    for step in script(seed):
        allowed, kept = spread(on_the_way(scene, step))
        ends = any(isinstance(op, HangUp) for op in step)
        guard.expect(allowed, frozenset() if ends else kept)
        puppets.play(step)
        scene = after(scene, step)
        now = puppets.asterisk.heard()
        assert now == scene.cells, (
            f"after {told(step)}: also {set(now - scene.cells)}, not {set(scene.cells - now)}"
        )
        assert puppets.refused == []
    assert puppets.asterisk.legs == set()
    return guard.looks


def play_failing(seed: int, script: Script = write_many) -> int:
    """Play one in which commands fail; what the machines say then holds."""
    dice = random.Random(seed)
    puppets = Puppets(dice)
    guard = Guard(puppets)
    for step in script(seed):
        scene = puppets.scene()
        possible = tuple(op for op in step if is_possible(scene, op))
        allowed, kept = spread(on_the_way(scene, possible))
        guard.expect(allowed, between_parties(scene, possible, kept))
        puppets.asterisk.failing = dice.choice([0.0, 0.02, 0.2, 0.7])
        puppets.play(possible)
        guard.expect(allowed, frozenset())
        puppets.mend()
        now, wanted = puppets.asterisk.heard(), puppets.scene().cells
        assert now == wanted, (
            f"after {told(step)}: also {set(now - wanted)}, not {set(wanted - now)}"
        )
    return guard.looks


def arranged(seed: int) -> Iterator[Step]:
    """Write a script in which parties are held, or apart, while observers and the agent speak."""
    dice = random.Random(seed)
    scene = Scene()
    for step in write(seed, OPERATIONS):
        if all(isinstance(op, Come | Turn | Move | Go) for op in step) and scene.on(OWN):
            places = {party: dice.choice(["talk", "held", "apart"]) for party in scene.on(OWN)}
            held, apart = (
                frozenset(party for party, place in places.items() if place == where)
                for where in ("held", "apart")
            )
            before = Arrange(held, apart, kept=True)
            if dice.random() < 0.5:
                yield from ((before,), step)
            else:
                yield (before, *step)
            yield (Arrange(scene.held, frozenset(), kept=False),)
        else:
            yield step
        scene = after(scene, step)


def between_parties(scene: Scene, step: Step, kept: Cells) -> Cells:
    """Return what parties keep hearing of each other, whatever fails."""
    moved = (Arrange, Hold, Mute, Drop, TakeOver, HangUp, Go)
    if any(isinstance(op, moved) for op in step):
        return frozenset()
    parties = set(scene.parties)
    return frozenset(cell for cell in kept if parties.issuperset(cell))


@pytest.mark.parametrize("part", range(4))
def test_at_every_moment_everybody_hears_whom_he_is_to_hear(part: int) -> None:
    looks = sum(told_of(play, seed) for seed in range(part, SCRIPTS, 4))
    assert looks > 50 * SCRIPTS / 4


@pytest.mark.parametrize("part", range(4))
def test_whatever_fails_nobody_hears_whom_he_is_not_to_hear(part: int) -> None:
    looks = sum(told_of(play_failing, seed) for seed in range(part, SCRIPTS, 4))
    assert looks > 50 * SCRIPTS / 4


@pytest.mark.parametrize("playing", [play, play_failing])
def test_wherever_parties_are_put_nobody_hears_whom_he_is_not_to_hear(
    playing: Callable[[int, Script], int],
) -> None:
    looks = sum(told_of(lambda s: playing(s, arranged), seed) for seed in range(SCRIPTS // 4))
    assert looks > 50 * SCRIPTS / 4


def told_of(playing: Callable[[int], int], seed: int) -> int:
    """Play a script; an error names it."""
    try:
        return playing(seed)
    except BaseException as error:
        error.add_note(f"in script {seed}")
        raise
