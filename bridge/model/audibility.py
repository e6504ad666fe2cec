"""Who hears whom, as a set of pairs, and what it is wanted for: a call, an observer, a gallery."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from bridge.model.participants import Participant

Cell: TypeAlias = tuple[Participant, Participant]
"""(listener, speaker)."""

Matrix: TypeAlias = frozenset[Cell]
"""All pairs in which the listener hears the speaker. What is not in it is silence."""

_NOBODY: frozenset[Participant] = frozenset()


@dataclass(frozen=True, slots=True)
class Audience:
    """Who takes part in a call, and which of the parties each of its own observers is heard by.

    Parties hear one another, every observer hears every party, nobody hears himself. Who is muted
    is heard by nobody; who is held hears nobody and is heard by nobody. Who is apart neither hears
    a party nor is heard by one: he and an observer hear each other if that one is heard by him.
    """

    parties: frozenset[Participant]
    heard_by: tuple[tuple[Participant, frozenset[Participant]], ...] = ()
    """Per observer, sorted by name: the parties who hear him."""
    muted: frozenset[Participant] = _NOBODY
    held: frozenset[Participant] = _NOBODY
    apart: frozenset[Participant] = _NOBODY

    def __post_init__(self) -> None:
        names = [observer for observer, _ in self.heard_by]
        if names != sorted(set(names)):
            raise ValueError("observers are listed once each, sorted by name")
        if self.parties & set(names):
            raise ValueError("a participant is a party or an observer, not both")
        for observer, listeners in self.heard_by:
            if not listeners <= self.parties:
                raise ValueError(f"{observer} is to be heard by somebody who is no party")
        if not self.muted | self.held | self.apart <= self.parties:
            raise ValueError("only a party can be muted, held or apart")
        if self.held & self.apart:
            raise ValueError("a party is held or apart, not both")

    @property
    def talking(self) -> frozenset[Participant]:
        """The parties who are in the conversation: neither held nor apart."""
        return self.parties - self.held - self.apart

    @property
    def matrix(self) -> Matrix:
        """The pairs that follow."""
        between = {(a, b) for a in self.talking for b in self.talking if a != b}
        cells = {cell for cell in between if cell[1] not in self.muted}
        for observer, listeners in self.heard_by:
            audible = (self.talking | self.apart & listeners) - self.muted
            cells |= {(observer, party) for party in audible}
            cells |= {(party, observer) for party in listeners - self.held}
        return frozenset(cells)

    def among(self, present: frozenset[Participant]) -> Self:
        """Return the same without parties who are not ``present``."""
        heard_by = tuple((who, listeners & present) for who, listeners in self.heard_by)
        return replace(
            self,
            parties=self.parties & present,
            heard_by=heard_by,
            muted=self.muted & present,
            held=self.held & present,
            apart=self.apart & present,
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """One observer and the parties of somebody's call, whose bridge is not touched for him."""

    observer: Participant
    parties: frozenset[Participant] = _NOBODY
    """To whom he has a line."""
    hears: frozenset[Participant] = _NOBODY
    heard_by: frozenset[Participant] = _NOBODY
    seated: bool = False
    """He is a person with a channel of his own, such as that of a phone; else a program."""

    def __post_init__(self) -> None:
        if self.observer in self.parties:
            raise ValueError("an observer is no party")
        if not self.hears | self.heard_by <= self.parties:
            raise ValueError("an observer has to do with the parties alone")

    @property
    def matrix(self) -> Matrix:
        """The pairs that follow; who of the parties hears whom is not his business."""
        ears = {(self.observer, party) for party in self.hears}
        return frozenset(ears | {(party, self.observer) for party in self.heard_by})

    def among(self, present: frozenset[Participant]) -> Self:
        """Return the same without parties who are not ``present``; without himself: nothing."""
        parties = self.parties & present
        if self.seated and self.observer not in present:
            parties = _NOBODY
        return replace(
            self, parties=parties, hears=self.hears & parties, heard_by=self.heard_by & parties
        )


@dataclass(frozen=True, slots=True)
class Gallery:
    """The observers of one call, as far as they hear one another."""

    seated: frozenset[Participant] = _NOBODY
    """Those with a channel of their own."""
    programs: frozenset[Participant] = _NOBODY
    matrix: Matrix = frozenset()

    def __post_init__(self) -> None:
        if self.seated & self.programs:
            raise ValueError("an observer is a person or a program")
        names = self.seated | self.programs
        if any(a == b or a not in names or b not in names for a, b in self.matrix):
            raise ValueError("the gallery is for its observers, and nobody hears himself")

    def among(self, present: frozenset[Participant]) -> Self:
        """Return the same without those whose channels are not ``present``."""
        gone = self.seated - present
        cells = {(a, b) for a, b in self.matrix if not {a, b} & gone}
        return replace(self, seated=self.seated - gone, matrix=frozenset(cells))


Wanted: TypeAlias = Audience | Observation | Gallery
"""What objects are planned for."""
