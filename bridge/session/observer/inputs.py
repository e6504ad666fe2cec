"""What can happen to an observer: commands, and facts that the world reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.modes import ObserverMode
from bridge.model.participants import Participant
from bridge.session.inputs import (
    AudienceFailed,
    AudienceStands,
    EventsMissed,
    LineLost,
    ServerLost,
    Token,
    TornDown,
    VoiceFailed,
    VoiceFinished,
    VoiceReached,
    VoiceSettled,
)


@dataclass(frozen=True, slots=True)
class Person:
    """A party as an observer meets him. ``identity`` is another when somebody takes his place."""

    role: Participant
    identity: str
    held: bool = False
    """He is out of the conversation: he hears no observer, and none hears him."""
    muted: bool = False
    """Nobody hears him."""
    apart: bool = False
    """He is not with the others: he and an observer hear each other only in a whisper to him."""


@dataclass(frozen=True, slots=True)
class Join:
    """Take part, at first as a spy."""

    token: Token


@dataclass(frozen=True, slots=True)
class ChangeMode:
    """Take part otherwise. ``cut`` drops what was said before and is not yet played."""

    token: Token
    mode: ObserverMode
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Take part no longer, after the last word unless ``cut``."""

    token: Token
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """He is to be on another call: whom he was with is with him no longer."""


@dataclass(frozen=True, slots=True)
class Seated:
    """The observer's own channel is up."""


@dataclass(frozen=True, slots=True)
class SeatFailed:
    """His phone cannot be had. ``cause``: Q.850, where Asterisk gave one."""

    code: ErrorCode
    message: str
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class SeatGone:
    """His channel is gone: he hung up, or his network is lost."""


@dataclass(frozen=True, slots=True)
class PeopleChanged:
    """Who takes part in the call now."""

    people: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class CallOver:
    """The call has ended for everybody."""


ObserverCommand: TypeAlias = Join | ChangeMode | Leave
ObserverInput: TypeAlias = (
    Join
    | ChangeMode
    | Leave
    | Moved
    | Seated
    | SeatFailed
    | SeatGone
    | PeopleChanged
    | CallOver
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
