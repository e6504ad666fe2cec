"""Writes scripts by dice: who comes, speaks, goes, is held, on two calls. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.support.script import (
    AI,
    BARGE,
    CALLEE,
    CALLER,
    EXPERT,
    OBSERVERS,
    OTHER,
    OWN,
    SPY,
    Add,
    Come,
    Drop,
    GiveBack,
    Go,
    Going,
    HangUp,
    Hold,
    Kind,
    Mode,
    Move,
    Mute,
    Op,
    Scene,
    Step,
    TakeOver,
    Turn,
    after,
)

_NOBODY: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Means:
    """What a script may use."""

    most: int = len(OBSERVERS)
    """Observers at a time."""
    phones: bool = True
    conference: bool = True
    takeover: bool = True
    at_once: int = 3
    """The most that happens at the same moment."""


_LAST: Final = 4
"""Operations that a script may need to end both calls."""


def write(seed: int, operations: int, means: Means = Means()) -> list[Step]:
    """Return the steps of a script; the same for the same arguments. Both calls end with it."""
    writer = _Writer(random.Random(seed), means)
    while writer.operations < operations - _LAST:
        writer.step(operations - _LAST - writer.operations)
    writer.end()
    return writer.steps


_Maker: TypeAlias = Callable[[Scene], "Op | None"]


class _Writer:
    """Chooses what happens. What happens at the same moment is about different people."""

    def __init__(self, dice: random.Random, means: Means) -> None:
        self._dice = dice
        self._means = means
        self._scene = Scene()
        self.steps: list[Step] = []

    @property
    def operations(self) -> int:
        """How many there are so far."""
        return sum(map(len, self.steps))

    def step(self, most: int) -> None:
        """Write one step of at most so many operations."""
        wanted = min(most, self._dice.choice([1, 1, *range(1, self._means.at_once + 1)]))
        chosen: list[Op] = []
        while len(chosen) < wanted:
            op = self._choose()
            if all(_independent(op, other, self._scene) for other in chosen):
                chosen.append(op)
            elif chosen:
                break
        self._add(tuple(chosen))

    def end(self) -> None:
        """End both calls, one after the other; of two parties who talk, one is enough to do so."""
        taking = self._scene.taking
        if taking is not None:
            self._add((GiveBack(taking.by, taking.replaced),))
        if EXPERT in self._scene.parties:
            self._add((Drop(EXPERT, by_himself=self._dice.random() < 0.5),))
        calls = [OWN, OTHER]
        self._dice.shuffle(calls)
        for call in calls:
            self._add((HangUp(call, self._dice.choice(self._scene.on(call))),))

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self._scene = after(self._scene, step)

    def _choose(self) -> Op:
        few = len(self._scene.observers) < self._means.most
        makers: list[tuple[int, _Maker]] = [
            (8 if few else 0, self._come),
            (12, self._turn),
            (2, self._turn_agent),
            (2, self._move),
            (2, self._go),
        ]
        if self._means.conference:
            makers += [(2, self._mute), (2, self._hold), (2, self._add_or_drop)]
        if self._means.takeover:
            makers += [(2, self._take_over), (1, self._give_back)]
        weights = [weight for weight, _ in makers]
        while True:
            (maker,) = self._dice.choices([maker for _, maker in makers], weights)
            op = maker(self._scene)
            if op is not None:
                return op

    def _come(self, scene: Scene) -> Op | None:
        name = self._dice.choice([n for n in OBSERVERS if n not in scene.observers])
        call = self._dice.choice([OWN, OWN, OWN, OTHER])
        phone = self._means.phones and self._dice.random() < 0.5
        return Come(name, call, phone, coaching=self._dice.random() < 0.4)

    def _turn(self, scene: Scene) -> Op | None:
        if not scene.observers:
            return None
        name = self._dice.choice(sorted(scene.observers))
        watcher = scene.observers[name]
        mode = self._mode(scene.on(watcher.call))
        return Turn(name, mode, cut=not watcher.phone and self._dice.random() < 0.3)

    def _turn_agent(self, scene: Scene) -> Op | None:
        if scene.taking is not None and scene.taking.replaced == AI:
            return None
        return Turn(AI, self._mode((CALLER, CALLEE)), cut=self._dice.random() < 0.3)

    def _mode(self, parties: tuple[str, ...]) -> Mode:
        few = self._dice.sample(parties, self._dice.randint(1, len(parties)))
        return self._dice.choice([SPY, BARGE, Mode(Kind.WHISPER, frozenset(few))])

    def _move(self, scene: Scene) -> Op | None:
        if not scene.observers:
            return None
        name = self._dice.choice(sorted(scene.observers))
        return Move(name, OTHER if scene.observers[name].call == OWN else OWN)

    def _go(self, scene: Scene) -> Op | None:
        if not scene.observers:
            return None
        name = self._dice.choice(sorted(scene.observers))
        hows = [Going.LEAVES, Going.CUTS]
        if scene.observers[name].phone:
            hows = [Going.LEAVES, Going.HANGS_UP, Going.HANGS_UP]
        return Go(name, self._dice.choice(hows))

    def _mute(self, scene: Scene) -> Op | None:
        party = self._dice.choice(scene.on(OWN))
        if scene.taking is not None and scene.taking.replaced == party:
            return None
        return Mute(party, on=party not in scene.muted)

    def _hold(self, scene: Scene) -> Op | None:
        party = self._dice.choice(scene.on(OWN))
        if party in scene.held:
            return Hold(party, on=False)
        # Two are left to talk, or nobody would be there to lose a frame of.
        enough = len(set(scene.on(OWN)) - scene.held) > 1
        return Hold(party, on=True) if enough else None

    def _add_or_drop(self, scene: Scene) -> Op | None:
        if EXPERT not in scene.parties:
            return Add(EXPERT)
        if EXPERT in scene.mode_of(AI).to or (scene.taking and scene.taking.replaced == EXPERT):
            return None
        return Drop(EXPERT, by_himself=self._dice.random() < 0.5)

    def _take_over(self, scene: Scene) -> Op | None:
        here = sorted(name for name, w in scene.observers.items() if w.call == OWN)
        if not here or scene.taking is not None:
            return None
        replaced = self._dice.choice([CALLEE, AI])
        return TakeOver(self._dice.choice(here), replaced)

    def _give_back(self, scene: Scene) -> Op | None:
        if scene.taking is None:
            return None
        return GiveBack(scene.taking.by, scene.taking.replaced)


def _independent(one: Op, other: Op, scene: Scene) -> bool:
    """Tell whether two may happen in any order, with the same end."""
    about = [_about(op, scene) for op in (one, other)]
    if about[0] & about[1]:
        return False
    both = after(scene, (one, other)) if _possible(scene, one, other) else None
    return both is not None and both == after(scene, (other, one))


def _about(op: Op, scene: Scene) -> frozenset[str]:
    """Return who must not be part of anything else at the same moment."""
    whispered = op.mode.to if isinstance(op, Turn) else _NOBODY
    for name in op.who & {AI, *scene.observers}:
        whispered |= scene.mode_of(name).to
    taking = scene.taking
    given_back = {taking.replaced} if taking is not None and taking.by in op.who else set()
    added = isinstance(op, Add | Drop)
    return op.who | (whispered & {EXPERT}) | given_back | ({EXPERT} if added else set())


def _possible(scene: Scene, one: Op, other: Op) -> bool:
    """A taker and an agent who changes his mode do not meet; of two conference commands, one."""
    of_call = (Mute, Hold, Add, Drop, TakeOver, GiveBack)
    del scene
    return not (isinstance(one, of_call) and isinstance(other, of_call))
