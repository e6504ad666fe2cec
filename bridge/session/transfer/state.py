"""What is known of a transfer at one moment. Plain values: they can be written down and read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from bridge.model.errors import ErrorCode
from bridge.model.participants import AGENT, Participant
from bridge.session.inputs import Token
from bridge.session.transfer.effects import Outcome, Placement
from bridge.session.transfer.inputs import Plan, Target

TRIES: Final = 5
"""How often it is tried to bring the customers back before the call is ended."""


class Stage(StrEnum):
    """Where a transfer stands."""

    NEW = "new"
    HOLDING = "holding"
    """The customers are put where they wait; nobody is rung yet."""
    RINGING = "ringing"
    """Attempts ring, or were answered and are to accept."""
    JOINING = "joining"
    """Somebody has accepted, and is put to who transfers."""
    CONSULTING = "consulting"
    """They talk; the customers are on hold."""
    TURNING_ASIDE = "turning_aside"
    """On the way from CONSULTING to ASIDE."""
    ASIDE = "aside"
    """Who transfers talks with the customers; the human is on hold."""
    TURNING_BACK = "turning_back"
    """On the way to CONSULTING, from ASIDE or TOGETHER."""
    GATHERING = "gathering"
    """On the way to TOGETHER."""
    TOGETHER = "together"
    """All talk."""
    COMPLETING = "completing"
    """The human is put to the customers for good."""
    RELEASING = "releasing"
    """Who had accepted is let go; the customers come back when he hears nobody any more."""
    RETURNING = "returning"
    """The customers come back to who transfers."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One who is rung."""

    party: Participant
    target: Target
    answered: bool = False
    """He has picked up, and is to accept."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer. Immutable: ``machine.step`` returns the next one."""

    stage: Stage = Stage.NEW
    came_from: Stage = Stage.NEW
    """The stage to go back to when a change cannot be made."""
    plan: Plan = field(default_factory=lambda: Plan(rounds=()))
    names: tuple[tuple[Participant, ...], ...] = ()
    """What the targets of the plan are called as parties."""
    by: Participant = AGENT
    by_there: bool = False
    """Who transfers is on the call."""
    attended: bool = False
    """He waits for the human."""
    agent: bool = False
    """The AI has lines to the parties."""
    customers: frozenset[Participant] = frozenset()
    """Those of them who are there."""
    colleagues: frozenset[Participant] = frozenset()
    """Parties who are neither customers nor ``by``: they talk with whoever is not away."""
    rounds_begun: int = 0
    attempts: tuple[Attempt, ...] = ()
    """Of the round that is under way."""
    human: Participant | None = None
    """Who has accepted."""
    wanted: Placement = field(default_factory=Placement)
    """What the last Place asked for."""
    stood: Placement = field(default_factory=Placement)
    """What is so when that fails, unless it is ``unsure``."""
    asked: bool = False
    """The last Place was not answered yet."""
    unsure: bool = False
    """One before it was not, either: when it fails, it is not known who is where."""
    number: int = 0
    """Of the last Place."""
    failures: int = 0
    """How many Places failed, one after the other."""
    waiting: tuple[Token, ...] = ()
    """Commands that are answered when the last Place is."""
    outcome: Outcome | None = None
    """Known before the transfer is OVER, where the way there takes time."""
    code: ErrorCode | None = None
    message: str = ""
    """Why it ended so, or why the last attempt failed."""

    @property
    def humans(self) -> frozenset[Participant]:
        """The names of all who were, or may be, rung."""
        return frozenset(name for names in self.names for name in names)

    @property
    def has_company(self) -> bool:
        """The customers would not be alone without the human."""
        others = self.by_there or self.agent or bool(self.colleagues)
        return others or len(self.customers) > 1

    @property
    def ends_call(self) -> bool:
        """It is over, and nobody is left to talk to, or can be brought to those who are."""
        stays = self.outcome in {Outcome.COMPLETED, Outcome.CONFERENCED, Outcome.CALL_OVER}
        lonely = not (self.customers and self.has_company)
        return self.stage is Stage.OVER and not stays and (lonely or self.failures >= TRIES)

    def remembered(self) -> Transfer:
        """Return what a program that takes it up has to know: nobody waits there."""
        return replace(self, waiting=())
