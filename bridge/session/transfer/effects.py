"""What a transfer wants done. The runtime does it and reports facts back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.participants import Participant
from bridge.model.states import HangupCause
from bridge.session.effects import Refuse, Succeed
from bridge.session.transfer.inputs import Target


class Outcome(StrEnum):
    """How a transfer ended."""

    COMPLETED = "completed"
    """The customers talk with the human; who transferred has left."""
    CONFERENCED = "conferenced"
    """All talk together, who transferred, too."""
    CANCELLED = "cancelled"
    FAILED = "failed"
    """Nobody accepted, or Asterisk refused; the code and the message say why."""
    HUMAN_LEFT = "human_left"
    """Who had accepted hung up before it was completed."""
    CALLER_HUNG_UP = "caller_hung_up"
    """The last of the customers did, and the call is ended with that."""
    CALL_OVER = "call_over"
    """The call ended for another reason."""


class TransferNotice(StrEnum):
    """What is told of a transfer."""

    STARTED = "started"
    """The customers are where they wait; it rings."""
    RINGING = "ringing"
    ANSWERED = "answered"
    """He has picked up, and is to accept."""
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    """One attempt has failed; the code and the message say why."""
    CHANGED = "changed"
    """Who talks with whom is another now: consult, aside, together."""
    UNATTENDED = "unattended"
    """Who transfers does not wait for the human, or is gone."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Placement:
    """Who is where: who is neither held nor apart talks with the others. See inputs.Arrange."""

    held: frozenset[Participant] = frozenset()
    apart: frozenset[Participant] = frozenset()
    """May name who is not there: whoever answers later is apart."""
    leaving: frozenset[Participant] = frozenset()
    """Who is let go once the others are placed; until then he stays where he is."""
    kept: bool = False
    """The call does not end as long as one party is there."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring ``target`` as ``party`` → LegAnswered | LegFailed. ``apart``: who answers is apart."""

    party: Participant
    target: Target
    apart: bool


@dataclass(frozen=True, slots=True)
class Drop:
    """Hang up a party's leg, or give up the attempt to get one. No fact need follow."""

    party: Participant
    cause: HangupCause


@dataclass(frozen=True, slots=True)
class Offer:
    """Play him the brief and wait for his answer → Accepted | Declined | PartyLeft.

    One that was begun before starts again.
    """

    party: Participant


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End the offer, should there be one. No fact follows."""

    party: Participant


@dataclass(frozen=True, slots=True)
class Place:
    """Make ``placement`` so → Placed | PlaceFailed, with its number.

    Of several only the last one counts. again: how often it failed before; it is worth a
    pause then, that is longer each time.
    """

    number: int
    placement: Placement
    again: int = 0


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell whoever is interested."""

    notice: TransferNotice
    party: Participant | None = None
    outcome: Outcome | None = None
    code: ErrorCode | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class EndCall:
    """Hang up whoever is left: nobody is there to talk to. CallOver may follow."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The agent's part is done: the customers talk with the human."""


TransferEffect: TypeAlias = (
    Ring | Drop | Offer | Withdraw | Place | Tell | EndCall | Leave | Succeed | Refuse
)
