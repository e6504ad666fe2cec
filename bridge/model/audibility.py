"""Who hears whom, as a set of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bridge.model.participants import Participant

Cell: TypeAlias = tuple[Participant, Participant]
"""(listener, speaker)."""

Matrix: TypeAlias = frozenset[Cell]
"""All pairs in which the listener hears the speaker. What is not in it is silence."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who takes part in a call, and which of the parties each observer is heard by.

    Parties hear one another, every observer hears every party, nobody hears himself.
    """

    parties: frozenset[Participant]
    heard_by: tuple[tuple[Participant, frozenset[Participant]], ...] = ()
    """Per observer, sorted by name: the parties who hear him."""

    def __post_init__(self) -> None:
        names = [observer for observer, _ in self.heard_by]
        if names != sorted(set(names)):
            raise ValueError("observers are listed once each, sorted by name")
        if self.parties & set(names):
            raise ValueError("a participant is a party or an observer, not both")
        for observer, listeners in self.heard_by:
            if not listeners <= self.parties:
                raise ValueError(f"{observer} is to be heard by somebody who is no party")

    @property
    def matrix(self) -> Matrix:
        """The pairs that follow."""
        between = {(a, b) for a in self.parties for b in self.parties if a != b}
        ears = {(observer, party) for observer, _ in self.heard_by for party in self.parties}
        mouths = {(party, observer) for observer, parties in self.heard_by for party in parties}
        return frozenset(between | ears | mouths)
