"""What is known of a call at one moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bridge.model.audibility import Audience
from bridge.model.modes import BARGE, SPY, ObserverMode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import CallState, EndReason
from bridge.session.effects import Bond, Notice
from bridge.session.inputs import Token


class Phase(StrEnum):
    """Where a call stands: the four states of the program's view, and the ways between them."""

    PENDING = "pending"
    ANSWERING = "answering"
    ANSWERED = "answered"
    RINGING = "ringing"
    """The callee's phone rings. Before it: PENDING or ANSWERED (``before_ringing``)."""
    JOINING = "joining"
    """The callee picked up; his leg and the agent's line to him are being put in place."""
    CONNECTED = "connected"
    FINISHING = "finishing"
    """close() or disconnect() was accepted; the agent's last word is being played."""
    LEAVING = "leaving"
    """The agent's lines are being removed; the parties talk on."""
    DETACHED = "detached"
    """The agent has left; the parties talk on and are still looked after."""
    ENDING = "ending"
    """Everything is being hung up and removed."""
    DISCONNECTED = "disconnected"

    @property
    def is_over(self) -> bool:
        """The call has ended for everybody, or is about to."""
        return self in {Phase.ENDING, Phase.DISCONNECTED}


_STATES: Final = {
    Phase.PENDING: CallState.PENDING,
    Phase.ANSWERING: CallState.PENDING,
    Phase.ANSWERED: CallState.ANSWERED,
    Phase.CONNECTED: CallState.CONNECTED,
    Phase.LEAVING: CallState.DISCONNECTED,
    Phase.DETACHED: CallState.DISCONNECTED,
    Phase.ENDING: CallState.DISCONNECTED,
    Phase.DISCONNECTED: CallState.DISCONNECTED,
}


ALONE: Final = frozenset({CALLER})
BOTH: Final = frozenset({CALLER, CALLEE})

_BOUND: Final = {Phase.CONNECTED, Phase.FINISHING, Phase.LEAVING, Phase.DETACHED}


@dataclass(frozen=True, slots=True)
class Turning:
    """A mode change on its way through the stream of audio."""

    token: Token
    mode: ObserverMode
    settled: bool = False
    """All that was sent before was played; what is left is to close gates."""


@dataclass(frozen=True, slots=True)
class Adding:
    """A party on his way into the call."""

    token: Token
    party: Participant
    answered: bool = False
    """He picked up; his leg and the agent's line to him are being put in place."""
    apart: bool = False
    """He is to be apart from the others when he joins."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """An observer, ``by``, stands in for a party or the agent, ``from_``."""

    by: Participant
    from_: Participant
    kept: bool
    """Who was replaced is there, and listens."""
    mode: ObserverMode = SPY
    """The mode to give back to the agent, should he be the one who was replaced."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was done to participants that can be taken back."""

    muted: frozenset[Participant] = frozenset()
    held: frozenset[Participant] = frozenset()
    takeover: Takeover | None = None
    apart: frozenset[Participant] = frozenset()
    """Who neither hears the other parties nor is heard by them: not held, but not with them."""
    kept: bool = False
    """Somebody looks after the call: it goes on as long as one party is there."""

    @property
    def silenced(self) -> frozenset[Participant]:
        """Who is muted, or listens because he was replaced."""
        takeover = self.takeover
        kept = {takeover.from_} if takeover is not None and takeover.kept else set()
        return self.muted | kept

    def left_behind(self) -> Standing:
        """Return what is left of it when the agent leaves: mutes are his, and nobody else's."""
        takeover = self.takeover
        if takeover is not None and takeover.from_ == AGENT:
            takeover = replace(takeover, kept=False)
        if not self.kept:
            return Standing(takeover=takeover)
        return replace(self, muted=frozenset(), takeover=takeover)

    def without(self, party: Participant) -> Standing:
        """Return the same after a party has gone."""
        takeover = self.takeover
        if takeover is not None and takeover.from_ == party:
            takeover = replace(takeover, kept=False)
        return replace(
            self,
            muted=self.muted - {party},
            held=self.held - {party},
            apart=self.apart - {party},
            takeover=takeover,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the standing that is being carried out, and what is told when it is done."""

    token: Token | None
    notice: Notice
    party: Participant
    by: Participant | None = None
    mode: ObserverMode | None = None
    """The agent's mode from then on; None: as it is."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """An arrangement of the parties that is being carried out."""

    token: Token
    changed: frozenset[Participant]
    """Whose place is another than before."""
    leaving: frozenset[Participant]
    """Who is let go when it stands."""
    come: frozenset[Participant] = frozenset()
    """Who was apart, and is to be with the others."""


@dataclass(frozen=True, slots=True)
class Session:
    """One call. Immutable: ``machine.step`` returns the next one."""

    phase: Phase = Phase.PENDING
    before_ringing: Phase = Phase.PENDING
    """PENDING or ANSWERED: where a failed connect leads back to."""
    mode: ObserverMode = SPY
    """The agent's mode in effect."""
    parties: frozenset[Participant] = frozenset()
    """Whose legs are in the call's bridge."""
    heard_by: frozenset[Participant] = frozenset()
    """Whose gates stand open for the agent."""
    awaiting: Token | None = None
    """The answer or connect that is under way."""
    turnings: tuple[Turning, ...] = ()
    """Mode changes that are under way, in the order of the stream."""
    adding: tuple[Adding, ...] = ()
    standing: Standing = Standing()
    """As it is wanted."""
    stood: Standing = Standing()
    """As it last was in effect: what a failed change goes back to."""
    changes: tuple[Change, ...] = ()
    """What differs between the two."""
    arrangements: tuple[Arrangement, ...] = ()
    """What else does: arrangements that are under way."""
    leaving: tuple[Token, ...] = ()
    """close and disconnect commands that wait for the end."""
    end_for_all: bool = False
    """The parties are to be hung up when the agent has finished."""
    reason: EndReason | None = None
    told: bool = False
    """The program knows that it has left the call."""

    @property
    def state(self) -> CallState:
        """The state as the program sees it."""
        match self.phase:
            case Phase.RINGING | Phase.JOINING:
                return _STATES[self.before_ringing]
            case Phase.FINISHING:
                return CallState.CONNECTED if len(self.together) > 1 else CallState.ANSWERED
            case phase:
                return _STATES[phase]

    @property
    def agent_present(self) -> bool:
        """The agent has lines to the parties."""
        return self.phase not in {Phase.LEAVING, Phase.DETACHED, Phase.ENDING, Phase.DISCONNECTED}

    @property
    def has_agent(self) -> bool:
        """Parties are not alone: the agent has lines to them, or somebody stands in for it."""
        return self.agent_present or self.replaced == AGENT

    @property
    def takes_audio(self) -> bool:
        """The agent may still say something."""
        return self.agent_present and self.phase is not Phase.FINISHING

    @property
    def audience(self) -> Audience:
        """Who takes part and who hears the agent, as it shall stand in Asterisk now."""
        agent = ((AGENT, self.heard_by & self.parties),) if self.agent_present else ()
        now, parties = self.standing, self.parties
        muted = (now.silenced | self.going) & parties
        return Audience(parties, agent, muted, now.held & parties, self.apart)

    @property
    def apart(self) -> frozenset[Participant]:
        """The parties who are apart from the others."""
        return self.standing.apart & self.parties

    @property
    def together(self) -> frozenset[Participant]:
        """The parties who are not apart, though they may be held."""
        return self.parties - self.standing.apart

    @property
    def going(self) -> frozenset[Participant]:
        """The parties who are let go when the arrangement that is under way stands."""
        leaving = (arrangement.leaving for arrangement in self.arrangements)
        return self.parties.intersection(frozenset[Participant]().union(*leaving))

    @property
    def may_choose(self) -> bool:
        """The agent may be heard by others than by all, though he is alone with a party."""
        return self.kept or bool(self.apart)

    @property
    def kept(self) -> bool:
        """Somebody looks after the call, or does so until what is under way stands."""
        return self.standing.kept or self.stood.kept

    @property
    def taken_over_by(self) -> Participant | None:
        """Who stands in for a party or for the agent."""
        return None if self.standing.takeover is None else self.standing.takeover.by

    @property
    def replaced(self) -> Participant | None:
        """For whom somebody stands in."""
        return None if self.standing.takeover is None else self.standing.takeover.from_

    @property
    def talking(self) -> frozenset[Participant]:
        """Those of them whom nobody replaces: as long as there are two, the call goes on."""
        return self.together - {self.replaced}

    @property
    def bond(self) -> Bond:
        """How the parties' fates shall be tied in Asterisk, for the time when no program runs.

        Whose end need not be that of the call while a program runs must not decide it there: with
        somebody standing in for a party, everybody but the caller; with the agent heard, whoever
        was added. As long as the agent has lines, the program runs. While somebody looks after the
        call, nobody's end is that of another.
        """
        parties = self.together
        if self.phase not in _BOUND or self.kept or len(parties) < len(BOTH):
            return Bond()
        if self.replaced not in {None, AGENT}:
            armed = parties & ALONE
        elif self.heard_by or self.replaced:
            armed = parties & BOTH
        else:
            armed = parties
        spared = parties - armed if self.agent_present else frozenset()
        return Bond(self.talking, armed, spared)


AFTER_CONNECT: Final = BARGE
