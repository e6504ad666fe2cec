"""The story of the third act: an AI hands its caller over to a human."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.lab.demo.music import MUSIC
from bridge.lab.demo.story import BEHIND_A_PHONE, FROM_THE_KEY
from bridge.model.audibility import Matrix
from bridge.model.participants import AGENT, CALLER, Participant

HUMAN: Final = Participant("human")
BRIEF: Final = Participant("brief")
"""Who is calling and why, said to the human alone."""

EVERYTHING: Final = (CALLER, HUMAN, AGENT, BRIEF, MUSIC)

CALLER_AND_AI: Final = frozenset({(CALLER, AGENT), (AGENT, CALLER)})
HUMAN_AND_AI: Final = frozenset({(HUMAN, AGENT), (AGENT, HUMAN)})
CALLER_AND_HUMAN: Final = frozenset({(CALLER, HUMAN), (HUMAN, CALLER)})
ON_HOLD: Final[Matrix] = frozenset({(CALLER, MUSIC)})
BRIEFED: Final[Matrix] = frozenset({(HUMAN, BRIEF)})


class HandedOver(Protocol):
    """A call, and what may happen on it.

    All return when it is in effect, and since when a new voice counts, in seconds of the monotonic
    clock.
    """

    async def ask(self) -> float:
        """Let the caller dial, and the AI answer."""

    async def transfer(self) -> float:
        """Let the AI transfer him; a human's phone rings."""

    async def pick_up(self) -> float:
        """Let the human answer, who is told who is calling."""

    async def decline(self) -> float:
        """Let the human refuse: by a key, or by hanging up where there are no keys."""

    async def consult(self) -> float:
        """Let the AI transfer the caller again, and the human accept: by a key, or by answering."""

    async def complete(self) -> float:
        """Let the AI leave the caller to the human."""


@dataclass(frozen=True, slots=True)
class HandoverStep:
    """What happens on the call, and what follows for everybody's ears; see Told."""

    name: str
    mode: str
    """What ``--json`` calls it: answered, on_hold, brief, consult, completed."""
    command: Callable[[HandedOver], Awaitable[float]]
    listeners: tuple[Participant, ...]
    matrix: Matrix
    voice: Participant = AGENT
    phone_timing: str = BEHIND_A_PHONE

    @property
    def speakers(self) -> tuple[Participant, ...]:
        """See Told."""
        return EVERYTHING

    @property
    def counted(self) -> tuple[Participant, ...]:
        """See Told."""
        return self.listeners


HANDOVER_STEPS: tuple[HandoverStep, ...] = (
    HandoverStep(
        "AI talks with a new caller",
        "answered",
        lambda call: call.ask(),
        (CALLER, AGENT),
        CALLER_AND_AI,
    ),
    HandoverStep(
        "AI transfers him: music, while a human's phone rings",
        "on_hold",
        lambda call: call.transfer(),
        (CALLER, AGENT),
        ON_HOLD,
    ),
    HandoverStep(
        "the human picks up, and is told who is calling",
        "brief",
        lambda call: call.pick_up(),
        (CALLER, HUMAN, AGENT),
        ON_HOLD | BRIEFED,
        voice=BRIEF,
    ),
    HandoverStep(
        "he presses 2: no; the caller is back with the AI",
        "answered",
        lambda call: call.decline(),
        (CALLER, AGENT),
        CALLER_AND_AI,
        phone_timing=FROM_THE_KEY,
    ),
    HandoverStep(
        "transferred again, he presses 1, and talks with the AI first",
        "consult",
        lambda call: call.consult(),
        (CALLER, HUMAN, AGENT),
        ON_HOLD | HUMAN_AND_AI,
        phone_timing=FROM_THE_KEY,
    ),
    HandoverStep(
        "completed: caller and human talk, AI has left",
        "completed",
        lambda call: call.complete(),
        (CALLER, HUMAN),
        CALLER_AND_HUMAN,
        voice=HUMAN,
    ),
)
