"""What can happen to a transfer: commands, and facts that the world reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.participants import Participant
from bridge.model.states import EndReason
from bridge.session.inputs import Token


@dataclass(frozen=True, slots=True)
class Target:
    """One whom the customers may be transferred to.

    endpoint: as Asterisk dials it (``PJSIP/1003``). headers: of SIP, name and value. name: what he
    is called as a party, as far as it is free and can be one; else he is ``human``, ``human2``, ….
    """

    endpoint: str
    ring_seconds: int
    headers: tuple[tuple[str, str], ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a transfer is to go on."""

    rounds: tuple[tuple[Target, ...], ...]
    """The targets of one round ring together; rounds follow one another."""
    by_key: bool = True
    """Who answers accepts by a key; else by answering."""
    offer: bool = True
    """Who answers is apart, and hears the brief, until he has accepted; else he joins at once."""
    consult: bool = True
    """Who transfers talks with him first, until Complete; else the transfer is done with that."""
    hold_at_once: bool = True
    """The customers are on hold while it rings; else they talk on until somebody has accepted."""
    blind: bool = False
    """Who transfers leaves at once; the agent stays, and is silent, until it is done."""

    @property
    def joins_at_once(self) -> bool:
        """Who answers need not be apart first: nobody is there who must not hear him."""
        alone = all(len(targets) == 1 for targets in self.rounds)
        return not self.offer and alone and (self.hold_at_once or not self.consult)


@dataclass(frozen=True, slots=True)
class Begin:
    """Transfer ``customers`` to the first of the plan's targets who accepts.

    by: who transfers: AGENT or a party; he need not be there any more. parties: all of the call.
    agent: the AI has lines to them. taken: more names that humans must not have.
    """

    token: Token
    by: Participant
    customers: frozenset[Participant]
    plan: Plan
    parties: frozenset[Participant]
    agent: bool = True
    taken: frozenset[Participant] = frozenset()


@dataclass(frozen=True, slots=True)
class Complete:
    """Leave the customers to the human; while it still rings: do not wait for him."""

    token: Token


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give it up: the customers come back to who transfers."""

    token: Token


@dataclass(frozen=True, slots=True)
class Toggle:
    """Talk with the customers instead of the human, or with him alone again."""

    token: Token


@dataclass(frozen=True, slots=True)
class Conference:
    """All talk together. ``for_good``: the transfer is done with that, and nobody leaves."""

    token: Token
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class LegAnswered:
    """One who was rung has picked up, and is apart; with ``joins_at_once`` he is among the others.

    Reported when he is where he belongs, so that the brief reaches him.
    """

    party: Participant


@dataclass(frozen=True, slots=True)
class LegFailed:
    """One who was rung cannot be had. ``cause``: Q.850, where Asterisk gave one."""

    party: Participant
    code: ErrorCode
    message: str
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """He to whom it was offered takes it."""

    party: Participant


@dataclass(frozen=True, slots=True)
class Declined:
    """He does not: by key, because his time is up, or because a machine answered."""

    party: Participant
    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class PartyLeft:
    """A party of the call is gone; AGENT: the AI has left it. ``cause``: Q.850."""

    party: Participant
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class PartyJoined:
    """One whom the transfer did not ring has become a party of the call."""

    party: Participant


@dataclass(frozen=True, slots=True)
class Placed:
    """Everybody is where the Place of this number wanted him."""

    number: int


@dataclass(frozen=True, slots=True)
class PlaceFailed:
    """The Place of this number could not be carried out: everybody is where he was."""

    number: int
    message: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The call was looked at anew: after a break, or by a program that took it up.

    parties: those of the call who are there. ringing: those of the transfer whose phones ring.
    agent: the AI has lines. restarted: whoever gave commands is gone; nobody waits for an answer.
    """

    parties: frozenset[Participant]
    ringing: frozenset[Participant]
    agent: bool
    restarted: bool = True


@dataclass(frozen=True, slots=True)
class CallOver:
    """The call has ended for everybody."""

    reason: EndReason | None = None


TransferCommand: TypeAlias = Begin | Complete | Cancel | Toggle | Conference
TransferFact: TypeAlias = (
    LegAnswered
    | LegFailed
    | Accepted
    | Declined
    | PartyLeft
    | PartyJoined
    | Placed
    | PlaceFailed
    | Resumed
    | CallOver
)
TransferInput: TypeAlias = (
    Begin
    | Complete
    | Cancel
    | Toggle
    | Conference
    | LegAnswered
    | LegFailed
    | Accepted
    | Declined
    | PartyLeft
    | PartyJoined
    | Placed
    | PlaceFailed
    | Resumed
    | CallOver
)
