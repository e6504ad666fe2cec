"""Scripts of what observers do on two calls, and who hears whom after every step. Pure.

Two calls: ``OWN``, placed by callbridge, with a caller, a callee, perhaps an expert, and its agent
``ai``; and ``OTHER``, which callbridge never placed. Up to six observers come, speak, go from one
call to the other, and leave. ``Scene.hears`` is the specification, in the words of the field: it
knows nothing of channels and bridges.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    apart: frozenset[str] = _NOBODY
    """Parties whom, and who, only those hear who whisper to them."""

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
        for one, other in ((listener, speaker), (speaker, listener)):
            if one in self.apart:
                return other not in self.parties and one in self.mode_of(other).to
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
class Arrange:
    """The parties of our own call are put to their places: held, apart, or together."""

    held: frozenset[str]
    apart: frozenset[str]
    kept: bool
    """Somebody looks after the call from then on."""

    def __str__(self) -> str:
        return f"held: {sorted(self.held)}, apart: {sorted(self.apart)}"

    @property
    def who(self) -> frozenset[str]:
        """See Op."""
        return self.held | self.apart

    def after(self, scene: Scene) -> Scene:
        """See Op."""
        return replace(scene, held=self.held, apart=self.apart)


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
            apart=scene.apart - {self.party},
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
            frozenset(scene.apart & parties.keys()),
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
