"""What an observer wants done. The runtime does it and reports facts back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bridge.model.audibility import Observation
from bridge.model.modes import ObserverMode
from bridge.model.participants import Participant
from bridge.session.effects import FinishVoice, Refuse, SetRoute, Succeed, TurnVoice


class ObserverNotice(StrEnum):
    """What is told of an observer."""

    JOINED = "joined"
    MODE_CHANGED = "mode_changed"
    MOVED = "moved"
    """He goes to another call."""
    LEFT = "left"


class LeftReason(StrEnum):
    """Why an observer takes part no longer."""

    LEFT = "left"
    """He wanted to."""
    HUNG_UP = "hung_up"
    """His own phone is gone: hung up, or its network lost."""
    NOT_REACHED = "not_reached"
    """His phone was not answered."""
    CALL_ENDED = "call_ended"
    SERVER_LOST = "server_lost"
    HANDED_OVER = "handed_over"
    """The program left everything as it stands to the next one."""
    FAILED = "failed"
    """He could not be given a line; the log has the reason."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Get the observer's own channel → Seated | SeatFailed."""


@dataclass(frozen=True, slots=True)
class Arrange:
    """Make Asterisk's objects such that ``wanted`` holds → AudienceStands | AudienceFailed.

    identities: of the parties, by role. mending: what is wanted did not change; as long as
    Asterisk cannot be reached no fact follows.
    """

    wanted: Observation
    identities: tuple[tuple[Participant, str], ...]
    mending: bool = False


@dataclass(frozen=True, slots=True)
class ClearAway:
    """Remove every object of the observer, and hang up his own channel → TornDown."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell whoever is interested. ``message``: why, where nobody asked for it."""

    notice: ObserverNotice
    mode: ObserverMode | None = None
    reason: LeftReason | None = None
    message: str = ""


ObserverEffect: TypeAlias = (
    Seat | Arrange | ClearAway | Tell | SetRoute | TurnVoice | FinishVoice | Succeed | Refuse
)
