"""What can happen to a call: commands of the agent, and facts reported by the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType, TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.modes import ObserverMode
from bridge.model.participants import Participant
from bridge.model.states import EndReason

Token = NewType("Token", int)
"""Ties an effect to the command that it answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the caller."""

    token: Token


@dataclass(frozen=True, slots=True)
class Connect:
    """Ring ``endpoint``, as Asterisk dials it (``PJSIP/1002``), for at most ``ring_seconds``."""

    token: Token
    endpoint: str
    ring_seconds: int


@dataclass(frozen=True, slots=True)
class ChangeMode:
    """Take part otherwise. ``cut`` drops what was sent before and is not yet played."""

    token: Token
    mode: ObserverMode
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """The agent leaves, after his last word unless ``cut``."""

    token: Token
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Everybody leaves, after the agent's last word unless ``cut``.

    reason: what is told of why the call ended; None: the agent ended it.
    """

    token: Token
    cut: bool = False
    reason: EndReason | None = None


@dataclass(frozen=True, slots=True)
class AddParty:
    """Ring ``endpoint`` for at most ``ring_seconds``; who answers joins the parties.

    ``apart``: he is apart from them at first. ``headers``: names and values of SIP headers that a
    PJSIP endpoint gets to see.
    """

    token: Token
    party: Participant
    endpoint: str
    ring_seconds: int
    apart: bool = False
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class JoinParty:
    """Let somebody join whose channel is answered, ours, and known to the runtime already."""

    token: Token
    party: Participant
    apart: bool = False


@dataclass(frozen=True, slots=True)
class RemoveParty:
    """Let a party go, or give up one who is being added; the others talk on."""

    token: Token
    party: Participant


@dataclass(frozen=True, slots=True)
class MuteParty:
    """Let nobody hear a party (``on``), or let him be heard again."""

    token: Token
    party: Participant
    on: bool


@dataclass(frozen=True, slots=True)
class HoldParty:
    """Keep a party apart, with music (``on``), or bring him back to the others."""

    token: Token
    party: Participant
    on: bool


@dataclass(frozen=True, slots=True)
class Arrange:
    """Put all parties to their places at once.

    Exactly ``held`` are held and exactly ``apart`` are apart, the others talk together: so whoever
    is not to meet them has to be named, be it that he only rings yet. Who is being joined just now
    stays where he is put. ``leaving`` are heard by nobody from now on, and let go when the rest
    stands. Names of those who are not there are ignored.

    ``kept``: as long as one party is there, the call does not end; somebody looks after it.
    ``unless_kept``: it is refused while somebody does.
    """

    token: Token
    held: frozenset[Participant] = frozenset()
    apart: frozenset[Participant] = frozenset()
    leaving: frozenset[Participant] = frozenset()
    kept: bool = False
    unless_kept: bool = False


@dataclass(frozen=True, slots=True)
class TakeOver:
    """``by``, an observer whom all parties hear already, replaces a party or the agent.

    ``keep``: the replaced one stays and listens; otherwise he is let go.
    """

    token: Token
    by: Participant
    from_: Participant
    keep: bool = True


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Who was replaced, and kept, is heard again. ``by``: who gives back; None: whoever it is."""

    token: Token
    by: Participant | None = None


@dataclass(frozen=True, slots=True)
class CallerAnswered:
    """Asterisk answered the caller's channel."""


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """Asterisk did not answer the caller's channel."""

    message: str


@dataclass(frozen=True, slots=True)
class CalleeAnswered:
    """The callee picked up."""


@dataclass(frozen=True, slots=True)
class CalleeFailed:
    """The callee cannot be had. ``cause``: Q.850, where Asterisk gave one."""

    code: ErrorCode
    message: str
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class PartyAnswered:
    """One who is being added picked up."""

    party: Participant


@dataclass(frozen=True, slots=True)
class PartyFailed:
    """One who was to be added cannot be had. ``cause``: Q.850, where Asterisk gave one."""

    party: Participant
    code: ErrorCode
    message: str
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class TakerGone:
    """An observer has left the call, or is heard by all no more: should he have it, he has not."""

    by: Participant


@dataclass(frozen=True, slots=True)
class PartyGone:
    """A party's channel is gone. ``cause``: Q.850."""

    party: Participant
    cause: int


@dataclass(frozen=True, slots=True)
class AudienceStands:
    """Asterisk's objects are as the last Converge or Mend wanted them."""


@dataclass(frozen=True, slots=True)
class AudienceFailed:
    """They are not, and trying again did not help."""

    message: str


@dataclass(frozen=True, slots=True)
class LineLost:
    """The agent's line to a party broke; the party is still there."""

    party: Participant


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """What stands in Asterisk may differ from what we know: look, and mend it."""


@dataclass(frozen=True, slots=True)
class VoiceReached:
    """All audio sent before a mode change is on its way; the new mode's gates may open."""

    token: Token


@dataclass(frozen=True, slots=True)
class VoiceSettled:
    """All audio sent before a mode change was played; the old mode's gates may close."""

    token: Token


@dataclass(frozen=True, slots=True)
class VoiceFailed:
    """A mode change could not be carried through the stream of audio; the agent is silent."""

    token: Token
    message: str


@dataclass(frozen=True, slots=True)
class VoiceFinished:
    """The agent's last word was played, or cut."""


@dataclass(frozen=True, slots=True)
class ServerLost:
    """Asterisk is dead or out of reach for longer than we wait."""


@dataclass(frozen=True, slots=True)
class TornDown:
    """Nothing of the call is left in Asterisk, or Asterisk itself is gone."""


Command: TypeAlias = (
    Answer
    | Connect
    | ChangeMode
    | Close
    | Disconnect
    | AddParty
    | JoinParty
    | RemoveParty
    | MuteParty
    | HoldParty
    | Arrange
    | TakeOver
    | GiveBack
)
Fact: TypeAlias = (
    CallerAnswered
    | AnswerFailed
    | CalleeAnswered
    | CalleeFailed
    | PartyAnswered
    | PartyFailed
    | TakerGone
    | PartyGone
    | AudienceStands
    | AudienceFailed
    | LineLost
    | EventsMissed
    | VoiceReached
    | VoiceSettled
    | VoiceFailed
    | VoiceFinished
    | ServerLost
    | TornDown
)
Input: TypeAlias = Command | Fact
