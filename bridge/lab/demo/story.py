"""The story that is told of one agent: its steps, and who is to hear whom in each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.model.audibility import Audience, Matrix
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.sdk import ActiveCall

ALL = (CALLER, CALLEE, AGENT)

BEHIND_A_PHONE: Final = "behind a phone's jitter buffer after {ms:.0f} ms"
FROM_THE_KEY: Final = "behind a phone's jitter buffer {ms:.0f} ms after the key's press"

Command = Callable[[ActiveCall], Awaitable[None]]


class Told(Protocol):
    """What a step of any story says about everybody's ears."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def mode(self) -> str:
        """What ``--json`` calls it."""

    @property
    def speakers(self) -> tuple[Participant, ...]:
        """Everybody who has a tone, there or not."""

    @property
    def listeners(self) -> tuple[Participant, ...]:
        """Whose ears are measured."""

    @property
    def matrix(self) -> Matrix:
        """Who is to hear whom."""

    @property
    def counted(self) -> tuple[Participant, ...]:
        """Those of the listeners who must lose no frame of the parties."""

    @property
    def voice(self) -> Participant:
        """Whose voice it is that somebody newly hears, if anybody does."""

    @property
    def phone_timing(self) -> str:
        """How it is said after how many ``ms`` a phone heard it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what follows from it for everybody's ears."""

    name: str
    mode: str
    """What ``--json`` calls it: answered, barge, spy, whisper, closed."""
    command: Command
    parties: frozenset[Participant]
    """Who is on the call, the agent apart."""
    heard_by: frozenset[Participant] | None
    """Who hears the agent; None when he is gone."""

    @property
    def listeners(self) -> tuple[Participant, ...]:
        """Whose ears are measured."""
        agent = () if self.heard_by is None else (AGENT,)
        return (*(who for who in ALL if who in self.parties), *agent)

    @property
    def matrix(self) -> Matrix:
        """Who is to hear whom."""
        agent = () if self.heard_by is None else ((AGENT, self.heard_by),)
        return Audience(self.parties, agent).matrix

    @property
    def speakers(self) -> tuple[Participant, ...]:
        """See Told."""
        return ALL

    @property
    def counted(self) -> tuple[Participant, ...]:
        """See Told."""
        return self.listeners

    @property
    def voice(self) -> Participant:
        """See Told."""
        return AGENT

    @property
    def phone_timing(self) -> str:
        """See Told."""
        return BEHIND_A_PHONE


_ALONE = frozenset({CALLER})
_BOTH = frozenset({CALLER, CALLEE})

STEPS: tuple[Step, ...] = (
    Step("AI alone with the caller", "answered", ActiveCall.answer, _ALONE, _ALONE),
    Step("connected, AI barges in", "barge", ActiveCall.connect, _BOTH, _BOTH),
    Step("AI spies", "spy", ActiveCall.spy, _BOTH, frozenset()),
    Step("AI whispers to the callee", "whisper", ActiveCall.whisper, _BOTH, frozenset({CALLEE})),
    Step(
        "AI whispers to the caller",
        "whisper",
        lambda call: call.whisper(to="caller"),
        _BOTH,
        frozenset({CALLER}),
    ),
    Step("AI spies again", "spy", ActiveCall.spy, _BOTH, frozenset()),
    Step("AI has left", "closed", ActiveCall.close, _BOTH, None),
)
