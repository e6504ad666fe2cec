"""What a call wants done. The machine states it; the runtime does it and reports facts back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bridge.model.audibility import Audience
from bridge.model.errors import ErrorCode
from bridge.model.modes import ObserverMode
from bridge.model.participants import CALLEE, Participant
from bridge.model.states import EndReason, HangupCause
from bridge.session.inputs import Token


class Notice(StrEnum):
    """What the program is told of."""

    ANSWERED = "answered"
    ANSWER_FAILED = "answer_failed"
    CONNECTED = "connected"
    CONNECT_FAILED = "connect_failed"
    MODE_CHANGED = "mode_changed"
    PARTY_JOINED = "party_joined"
    PARTY_LEFT = "party_left"
    PARTY_CHANGED = "party_changed"
    """He is muted, held or apart, or is not any more."""
    TAKEN_OVER = "taken_over"
    GIVEN_BACK = "given_back"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class AnswerCaller:
    """Answer the caller's channel → CallerAnswered | AnswerFailed."""


@dataclass(frozen=True, slots=True)
class RingCaller:
    """Let the caller's own phone ring back."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Ring the callee → CalleeAnswered | CalleeFailed; another → PartyAnswered | PartyFailed."""

    endpoint: str
    ring_seconds: int
    party: Participant = CALLEE
    headers: tuple[tuple[str, str], ...] = ()
    """Names and values of SIP headers, for a PJSIP endpoint."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End a party's leg, or the attempt to get one. No fact follows."""

    party: Participant
    cause: HangupCause


@dataclass(frozen=True, slots=True)
class Converge:
    """Make Asterisk's objects such that ``audience`` holds.

    → AudienceStands | AudienceFailed | PartyGone, when one of the audience turns out to be gone.
    """

    audience: Audience


@dataclass(frozen=True, slots=True)
class Mend:
    """Make them such that ``audience`` holds, as they did before something broke.

    → AudienceStands | AudienceFailed, or no fact as long as Asterisk cannot be reached: what is
    wanted did not change, and EventsMissed follows when it can. A failure is tried again by itself.
    """

    audience: Audience


@dataclass(frozen=True, slots=True)
class SetRoute:
    """What is sent from now on is for ``parties``, or groups. Takes no place in the stream."""

    parties: frozenset[Participant]


@dataclass(frozen=True, slots=True)
class TurnVoice:
    """What is sent from now on is for ``parties``, or for groups of those who hear.

    → VoiceReached, VoiceSettled | VoiceFailed.
    """

    token: Token
    parties: frozenset[Participant]
    cut: bool


@dataclass(frozen=True, slots=True)
class FinishVoice:
    """Take no more audio; play, or ``cut``, what was sent → VoiceFinished."""

    cut: bool


@dataclass(frozen=True, slots=True)
class Bond:
    """Who is released with whom by Asterisk itself."""

    counted: frozenset[Participant] = frozenset()
    """As long as two of them are there, nobody is released."""
    armed: frozenset[Participant] = frozenset()
    """Parties whose end, with fewer than two left, is the end for all."""
    spared: frozenset[Participant] = frozenset()
    """Parties whose end is that only when the agent's lines are gone, too."""


@dataclass(frozen=True, slots=True)
class Tie:
    """See to it that Asterisk has the bond. No fact follows; what fails is tried again."""

    bond: Bond


@dataclass(frozen=True, slots=True)
class TearDown:
    """Remove every object of the call and hang up its legs with ``cause`` → TornDown.

    Without a cause the legs, and the bridge that they talk in, are left as they are.
    """

    cause: HangupCause | None


@dataclass(frozen=True, slots=True)
class Succeed:
    """The command is done."""

    token: Token


@dataclass(frozen=True, slots=True)
class Refuse:
    """The command is not done; ``code`` says which error of the tree is raised."""

    token: Token
    code: ErrorCode
    message: str
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the program."""

    notice: Notice
    reason: EndReason | None = None
    mode: ObserverMode | None = None
    message: str = ""
    party: Participant | None = None
    """Who joined, left, changed, or was replaced or given the call back."""
    by: Participant | None = None
    """Who took the call over, or gave it back."""
    cause: int | None = None
    """Q.850: with which hangup cause somebody left."""


Effect: TypeAlias = (
    AnswerCaller
    | RingCaller
    | Dial
    | HangUp
    | Converge
    | Mend
    | SetRoute
    | TurnVoice
    | FinishVoice
    | Tie
    | TearDown
    | Succeed
    | Refuse
    | Announce
)
