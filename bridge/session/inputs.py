"""What can happen to a call: commands of the agent, and facts reported by the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType, TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.modes import ObserverMode
from bridge.model.participants import Participant

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
    """Everybody leaves, after the agent's last word unless ``cut``."""

    token: Token
    cut: bool = False


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


Command: TypeAlias = Answer | Connect | ChangeMode | Close | Disconnect
Fact: TypeAlias = (
    CallerAnswered
    | AnswerFailed
    | CalleeAnswered
    | CalleeFailed
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
