"""How an observer takes part: what he may be heard by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bridge.model.participants import CALLEE, COACHING, OVERHEARD, Participant

_NOBODY: frozenset[Participant] = frozenset()


class AudioMode(StrEnum):
    """What an observer does on a call. He hears the parties in every mode."""

    SPY = "spy"
    """Nobody hears him."""
    WHISPER = "whisper"
    """The chosen parties hear him, the others do not."""
    BARGE = "barge"
    """Every party hears him."""


@dataclass(frozen=True, slots=True)
class ObserverMode:
    """An audio mode and, for whisper, the parties it is meant for."""

    mode: AudioMode
    targets: frozenset[Participant] = frozenset()

    def __post_init__(self) -> None:
        if (self.mode is AudioMode.WHISPER) != bool(self.targets):
            raise ValueError("whisper, and only whisper, has targets")

    def __str__(self) -> str:
        """Say it to a person: ``whisper to callee``."""
        to = f" to {', '.join(sorted(self.targets))}" if self.targets else ""
        return f"{self.mode}{to}"

    def heard_by(
        self, parties: frozenset[Participant], apart: frozenset[Participant] = _NOBODY
    ) -> frozenset[Participant]:
        """Return those of ``parties`` who hear an observer in this mode.

        apart: those of them who hear him only if they are named.
        """
        match self.mode:
            case AudioMode.SPY:
                return frozenset()
            case AudioMode.WHISPER:
                return self.targets & parties
            case AudioMode.BARGE:
                return parties - apart

    def route(
        self, parties: frozenset[Participant], apart: frozenset[Participant] = _NOBODY
    ) -> frozenset[Participant]:
        """For whom an observer's words are: those of ``parties`` who hear him, and a group.

        The group is of other observers. Who joins later is not among those they were said to.
        """
        match self.mode:
            case AudioMode.SPY:
                return frozenset()
            case AudioMode.WHISPER:
                return self.targets | {COACHING}
            case AudioMode.BARGE:
                return (parties - apart) | {OVERHEARD}


SPY = ObserverMode(AudioMode.SPY)
BARGE = ObserverMode(AudioMode.BARGE)


def whisper(*targets: Participant) -> ObserverMode:
    """Return the whisper mode for ``targets``, by default the callee."""
    return ObserverMode(AudioMode.WHISPER, frozenset(targets or (CALLEE,)))
