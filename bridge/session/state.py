"""What is known of a call at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bridge.model.audibility import Audience
from bridge.model.modes import BARGE, SPY, ObserverMode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import CallState, EndReason
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


@dataclass(frozen=True, slots=True)
class Turning:
    """A mode change on its way through the stream of audio."""

    token: Token
    mode: ObserverMode
    settled: bool = False
    """All that was sent before was played; what is left is to close gates."""


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
    leaving: tuple[Token, ...] = ()
    """close and disconnect commands that wait for the end."""
    end_for_all: bool = False
    """The parties are to be hung up when the agent has finished."""
    reason: EndReason | None = None

    @property
    def state(self) -> CallState:
        """The state as the program sees it."""
        match self.phase:
            case Phase.RINGING | Phase.JOINING:
                return _STATES[self.before_ringing]
            case Phase.FINISHING:
                return CallState.CONNECTED if CALLEE in self.parties else CallState.ANSWERED
            case phase:
                return _STATES[phase]

    @property
    def agent_present(self) -> bool:
        """The agent has lines to the parties."""
        return self.phase not in {Phase.LEAVING, Phase.DETACHED, Phase.ENDING, Phase.DISCONNECTED}

    @property
    def takes_audio(self) -> bool:
        """The agent may still say something."""
        return self.agent_present and self.phase is not Phase.FINISHING

    @property
    def audience(self) -> Audience:
        """Who takes part and who hears the agent, as it shall stand in Asterisk now."""
        agent = ((AGENT, self.heard_by & self.parties),) if self.agent_present else ()
        return Audience(self.parties, agent)


ALONE: Final = frozenset({CALLER})
BOTH: Final = frozenset({CALLER, CALLEE})
AFTER_CONNECT: Final = BARGE
