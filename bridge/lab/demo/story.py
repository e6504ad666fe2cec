"""The story that is told: its steps, and who is to hear whom in each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.model.audibility import Audience, Matrix
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.sdk import ActiveCall

ALL = (CALLER, CALLEE, AGENT)

Command = Callable[[ActiveCall], Awaitable[None]]


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
