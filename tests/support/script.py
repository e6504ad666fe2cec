"""Scripts of what observers do on two calls, and who hears whom after every step. Pure.

Two calls: ``OWN``, placed by callbridge, with a caller, a callee, perhaps an expert, and its agent
``ai``; and ``OTHER``, which callbridge never placed. Up to six observers come, speak, go from one
call to the other, and leave. ``Scene.hears`` is the specification, in the words of the field: it
knows nothing of channels and bridges.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import combinations
from typing import Final, Protocol, TypeAlias

OWN: Final = "own"
OTHER: Final = "other"
AI: Final = "ai"
CALLER: Final = "caller"
CALLEE: Final = "callee"
EXPERT: Final = "expert"
OTHER_CALLER: Final = "other_caller"
OTHER_CALLEE: Final = "other_callee"
OBSERVERS: Final = ("ann", "ben", "cleo", "dan", "eve", "fay")

Cells: TypeAlias = frozenset[tuple[str, str]]
"""(listener, speaker)."""

_NOBODY: Final[frozenset[str]] = frozenset()


class Kind(StrEnum):
    """How somebody takes part."""

    SPY = "spy"
    WHISPER = "whisper"
    BARGE = "barge"


@dataclass(frozen=True, slots=True)
class Mode:
    """What somebody does on a call beside its parties."""

    kind: Kind
    to: frozenset[str] = _NOBODY
    """Of a whisper: for whom."""

    def __str__(self) -> str:
        return f"{self.kind} {'+'.join(sorted(self.to))}".rstrip()


SPY: Final = Mode(Kind.SPY)
BARGE: Final = Mode(Kind.BARGE)


@dataclass(frozen=True, slots=True)
class Watcher:
    """An observer on a call."""

    call: str
    mode: Mode
    phone: bool
    """A person on a phone; else a program."""
    coaching: bool
    """He asked to hear what others whisper."""


@dataclass(frozen=True, slots=True)
class Taking:
    """``by`` speaks in the place of ``replaced``, who stays and listens."""

    by: str
    replaced: str
    mode: Mode
    """What the agent goes back to, should he be the one."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is where, and how, at one moment."""

    parties: Mapping[str, str] = field(
        default_factory=lambda: {
            CALLER: OWN,
            CALLEE: OWN,
            OTHER_CALLER: OTHER,
            OTHER_CALLEE: OTHER,
        }
    )
    """Name: call."""
    agent: Mode | None = BARGE
    observers: Mapping[str, Watcher] = field(default_factory=dict)
    muted: frozenset[str] = _NOBODY
    held: frozenset[str] = _NOBODY
    taking: Taking | None = None

    @property
    def people(self) -> tuple[str, ...]:
        """All who hear or speak."""
        agent = () if self.agent is None else (AI,)
        return (*self.parties, *agent, *self.observers)

    @property
    def cells(self) -> Cells:
        """All who hear somebody."""
        everybody = self.people
        return frozenset((a, b) for a in everybody for b in everybody if self.hears(a, b))

    def call_of(self, name: str) -> str:
        """Return the call that somebody is on."""
        if name == AI:
            return OWN
        return self.parties[name] if name in self.parties else self.observers[name].call

    def mode_of(self, name: str) -> Mode:
        """Return the mode of an observer or the agent."""
        if name == AI:
            return SPY if self.agent is None else self.agent
        return self.observers[name].mode

    def on(self, call: str) -> tuple[str, ...]:
        """Return the parties of a call."""
        return tuple(name for name, where in self.parties.items() if where == call)

    def hears(self, listener: str, speaker: str) -> bool:
        """Tell whether ``listener`` is to hear ``speaker``."""
        if listener == speaker or self.call_of(listener) != self.call_of(speaker):
            return False
        if {listener, speaker} & self.held or speaker in self.muted:
            return False
        if self.taking is not None and speaker == self.taking.replaced:
            return False
        if speaker in self.parties:
            return True
        mode = self.mode_of(speaker)
        if mode.kind is Kind.BARGE:
            return True
        coached = listener in self.observers and self.observers[listener].coaching
        return mode.kind is Kind.WHISPER and (listener in mode.to or coached)


class Op(Protocol):
    """Something that happens. Those of one step happen at the same moment."""

    @property
    def who(self) -> frozenset[str]:
        """Whom it is about: nobody else's hearing may suffer."""

    def after(self, scene: Scene) -> Scene:
        """Return the scene when it has happened."""


class Going(StrEnum):
    """How an observer goes."""

    LEAVES = "leaves"
    CUTS = "leaves at once"
    HANGS_UP = "hangs up"
    """Of a person: his phone is gone, and nobody told us before."""


@dataclass(frozen=True, slots=True)
class Come:
    """An observer joins a call."""

    name: str
    call: str
    phone: bool = False
    coaching: bool = False

    def __str__(self) -> str:
        return (
            f"{self.name} joins {self.call}{' by phone' * self.phone}{', coached' * self.coaching}"
        )

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.name})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        return _with(scene, self.name, Watcher(self.call, SPY, self.phone, self.coaching))


@dataclass(frozen=True, slots=True)
class Turn:
    """An observer, or the agent, changes his mode."""

    name: str
    mode: Mode
    cut: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.mode}{', cut' * self.cut}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.name})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        if self.name == AI:
            return replace(scene, agent=self.mode)
        if self.mode != BARGE:
            scene = _given_back(scene, self.name)
        return _with(scene, self.name, replace(scene.observers[self.name], mode=self.mode))


@dataclass(frozen=True, slots=True)
class Move:
    """An observer goes to another call."""

    name: str
    call: str

    def __str__(self) -> str:
        return f"{self.name} moves to {self.call}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.name})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        scene = _given_back(scene, self.name)
        there = replace(scene.observers[self.name], call=self.call, mode=SPY)
        return _with(scene, self.name, there)


@dataclass(frozen=True, slots=True)
class Go:
    """An observer takes part no longer."""

    name: str
    how: Going

    def __str__(self) -> str:
        return f"{self.name} {self.how}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.name})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        return _with(_given_back(scene, self.name), self.name, None)


@dataclass(frozen=True, slots=True)
class Mute:
    """A party of our own call is heard by nobody, or by all again."""

    party: str
    on: bool

    def __str__(self) -> str:
        return f"{self.party} is {'muted' if self.on else 'unmuted'}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.party})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        return replace(scene, muted=_switched(scene.muted, self.party, on=self.on))


@dataclass(frozen=True, slots=True)
class Hold:
    """A party of our own call is kept apart, or comes back."""

    party: str
    on: bool

    def __str__(self) -> str:
        return f"{self.party} is {'held' if self.on else 'back'}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.party})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        return replace(scene, held=_switched(scene.held, self.party, on=self.on))


@dataclass(frozen=True, slots=True)
class Add:
    """A party more on our own call."""

    party: str

    def __str__(self) -> str:
        return f"{self.party} is added"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.party})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        return replace(scene, parties={**scene.parties, self.party: OWN})


@dataclass(frozen=True, slots=True)
class Drop:
    """A party of our own call is let go, or hangs up; whoever whispers to him is silent then."""

    party: str
    by_himself: bool

    def __str__(self) -> str:
        return f"{self.party} {'hangs up' if self.by_himself else 'is removed'}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.party})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        observers = {
            name: replace(w, mode=SPY) if self.party in w.mode.to else w
            for name, w in scene.observers.items()
        }
        return replace(
            scene,
            parties={name: call for name, call in scene.parties.items() if name != self.party},
            observers=observers,
            muted=scene.muted - {self.party},
            held=scene.held - {self.party},
        )


@dataclass(frozen=True, slots=True)
class TakeOver:
    """An observer speaks in the place of a party or the agent, who stays and listens."""

    name: str
    replaced: str

    def __str__(self) -> str:
        return f"{self.name} takes over from {self.replaced}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.name, self.replaced})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        scene = _with(scene, self.name, replace(scene.observers[self.name], mode=BARGE))
        taking = Taking(self.name, self.replaced, scene.mode_of(AI))
        agent = SPY if self.replaced == AI else scene.agent
        return replace(scene, taking=taking, agent=agent)


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Who was replaced speaks again."""

    name: str
    replaced: str

    def __str__(self) -> str:
        return f"{self.name} gives back to {self.replaced}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.name, self.replaced})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        scene = _given_back(scene, self.name)
        return _with(scene, self.name, replace(scene.observers[self.name], mode=SPY))


@dataclass(frozen=True, slots=True)
class HangUp:
    """A party ends the call; its observers go with it."""

    call: str
    party: str

    def __str__(self) -> str:
        return f"{self.party} ends call {self.call}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return frozenset({self.party})

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        parties = {name: call for name, call in scene.parties.items() if call != self.call}
        return Scene(
            parties,
            None if self.call == OWN else scene.agent,
            {name: w for name, w in scene.observers.items() if w.call != self.call},
            frozenset(scene.muted & parties.keys()),
            frozenset(scene.held & parties.keys()),
            None if self.call == OWN else scene.taking,
        )


Step: TypeAlias = tuple[Op, ...]


def after(scene: Scene, step: Step) -> Scene:
    """Return the scene when all of a step has happened."""
    for op in step:
        scene = op.after(scene)
    return scene


def on_the_way(scene: Scene, step: Step) -> list[Scene]:
    """Return all scenes in which some of a step has happened and some has not yet."""
    return [
        after(scene, some) for count in range(len(step) + 1) for some in combinations(step, count)
    ]


def told(step: Step) -> str:
    """Tell a step in few words."""
    return " & ".join(map(str, step))


def _with(scene: Scene, name: str, watcher: Watcher | None) -> Scene:
    observers = {n: w for n, w in scene.observers.items() if n != name or watcher is not None}
    return replace(scene, observers=observers if watcher is None else {**observers, name: watcher})


def _given_back(scene: Scene, name: str) -> Scene:
    taking = scene.taking
    if taking is None or taking.by != name:
        return scene
    return replace(scene, taking=None, agent=taking.mode if taking.replaced == AI else scene.agent)


def _switched(names: frozenset[str], name: str, *, on: bool) -> frozenset[str]:
    return names | {name} if on else names - {name}


# --- writing ------------------------------------------------------------------------------------


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
    writer = _Writer(random.Random(seed), means)  # noqa: S311 - the same script every time
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
