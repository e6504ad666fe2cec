"""What is known of an observer at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.model.audibility import Observation
from bridge.model.modes import SPY, ObserverMode
from bridge.model.participants import Participant
from bridge.session.inputs import Token
from bridge.session.observer.effects import LeftReason
from bridge.session.observer.inputs import Person
from bridge.session.state import Turning


class Stage(StrEnum):
    """Where an observer stands."""

    NEW = "new"
    SEATING = "seating"
    """His phone rings."""
    JOINING = "joining"
    """His lines are being laid; nobody hears him."""
    PRESENT = "present"
    FINISHING = "finishing"
    """He is leaving; his last word is being played."""
    ENDING = "ending"
    """All that he had is being removed."""
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Observer:
    """One observer on one call at a time. Immutable: ``machine.step`` returns the next one."""

    name: Participant
    seated: bool = False
    """A person with a channel of his own; else a program."""
    stage: Stage = Stage.NEW
    people: Mapping[Participant, Person] = field(default_factory=dict)
    mode: ObserverMode = SPY
    """In effect."""
    heard_by: frozenset[Participant] = frozenset()
    """Whose gates stand open for him."""
    turnings: tuple[Turning, ...] = ()
    """Mode changes that are under way, in their order."""
    joining: Token | None = None
    leaving: tuple[Token, ...] = ()
    reason: LeftReason | None = None

    @property
    def parties(self) -> frozenset[Participant]:
        """Who takes part in the call."""
        return frozenset(self.people)

    @property
    def present(self) -> bool:
        """He has lines to the parties, or is about to."""
        return self.stage in {Stage.JOINING, Stage.PRESENT, Stage.FINISHING}

    @property
    def talking(self) -> frozenset[Participant]:
        """Those of the parties who are in the conversation: neither held nor apart."""
        return frozenset(
            role for role, person in self.people.items() if not (person.held or person.apart)
        )

    @property
    def apart(self) -> frozenset[Participant]:
        """Those of the parties who are apart from the others."""
        return frozenset(role for role, person in self.people.items() if person.apart)

    @property
    def wanted(self) -> Observation:
        """What shall stand in Asterisk now."""
        heard_by = self.heard_by & (self.talking | self.apart)
        near = self.talking | heard_by
        hears = frozenset(role for role in near if not self.people[role].muted)
        return Observation(self.name, self.parties, hears, heard_by, seated=self.seated)

    @property
    def identities(self) -> tuple[tuple[Participant, str], ...]:
        """Who the parties are."""
        return tuple(sorted((role, person.identity) for role, person in self.people.items()))

    @property
    def modes(self) -> tuple[ObserverMode, ...]:
        """The mode in effect, and those that are on their way."""
        return (self.mode, *(turning.mode for turning in self.turnings))
