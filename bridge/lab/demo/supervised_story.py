"""The story of the second act: observers come to a call that no application placed, and go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.lab.demo.story import BEHIND_A_PHONE, FROM_THE_KEY
from bridge.model.audibility import Audience, Matrix
from bridge.model.modes import BARGE, SPY, AudioMode, ObserverMode, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER, PARTIES, Participant

SUPERVISOR: Final = Participant("supervisor")
EVERYBODY: Final = (CALLER, CALLEE, SUPERVISOR, AGENT)

Modes = Mapping[Participant, ObserverMode]
"""Of the observers who are on the call."""


class Supervised(Protocol):
    """A call, and what may happen on it.

    All return when it is in effect, and since when a new voice counts, in seconds of the monotonic
    clock. Raise CapabilityError for what Asterisk cannot do; nothing has changed then.
    """

    async def place(self) -> float:
        """Let the caller dial, and the callee answer."""

    async def spy(self) -> float:
        """Let a supervisor join from his phone."""

    async def whisper(self) -> float:
        """Let the supervisor whisper to the callee, by whose extension he chose the call."""

    async def coach(self) -> float:
        """Let an AI join and whisper to the caller."""

    async def barge(self) -> float:
        """Let the supervisor barge in."""

    async def leave(self) -> float:
        """Let the supervisor hang up and the AI leave."""


@dataclass(frozen=True, slots=True)
class SupervisedStep:
    """What happens on the call, and how its observers take part then."""

    name: str
    mode: str
    """What ``--json`` calls it: connected, spy, whisper, barge, closed."""
    command: Callable[[Supervised], Awaitable[float]]
    changes: Mapping[Participant, ObserverMode | None]
    """The mode in which an observer is then; None when he is gone."""
    voice: Participant = SUPERVISOR
    phone_timing: str = BEHIND_A_PHONE

    def after(self, modes: Modes) -> Modes:
        """Return how observers take part when the step is done, given how they did before."""
        then = {**modes, **self.changes}
        return {who: mode for who, mode in then.items() if mode is not None}

    def told(self, modes: Modes) -> Moment:
        """Return what follows for everybody's ears. modes: how observers take part then."""
        return Moment(self, modes)


@dataclass(frozen=True, slots=True)
class Moment:
    """A step as it was given; see Told."""

    step: SupervisedStep
    modes: Modes

    @property
    def name(self) -> str:
        """See Told."""
        return self.step.name

    @property
    def mode(self) -> str:
        """See Told."""
        return self.step.mode

    @property
    def voice(self) -> Participant:
        """See Told."""
        return self.step.voice

    @property
    def phone_timing(self) -> str:
        """See Told."""
        return self.step.phone_timing

    @property
    def speakers(self) -> tuple[Participant, ...]:
        """See Told."""
        return EVERYBODY

    @property
    def listeners(self) -> tuple[Participant, ...]:
        """See Told."""
        return tuple(who for who in EVERYBODY if who in PARTIES or who in self.modes)

    @property
    def matrix(self) -> Matrix:
        """See Told. Observers hear the parties and whichever other observer barges."""
        heard_by = [(who, mode.heard_by(PARTIES)) for who, mode in sorted(self.modes.items())]
        loud = {who for who, mode in self.modes.items() if mode.mode is AudioMode.BARGE}
        among = {(listener, who) for listener in self.modes for who in loud if listener != who}
        return Audience(PARTIES, tuple(heard_by)).matrix | among

    @property
    def counted(self) -> tuple[Participant, ...]:
        """See Told. A supervisor's own change is told to him by a tone, over the voices."""
        return tuple(
            who for who in self.listeners if who != SUPERVISOR or who not in self.step.changes
        )


SUPERVISED_STEPS: tuple[SupervisedStep, ...] = (
    SupervisedStep(
        "a plain Dial(), which no application placed",
        "connected",
        lambda call: call.place(),
        {},
    ),
    SupervisedStep(
        "supervisor dials *55 and the callee's extension, and spies",
        "spy",
        lambda call: call.spy(),
        {SUPERVISOR: SPY},
    ),
    SupervisedStep(
        "supervisor presses 5: whispers to the callee",
        "whisper",
        lambda call: call.whisper(),
        {SUPERVISOR: whisper(CALLEE)},
        phone_timing=FROM_THE_KEY,
    ),
    SupervisedStep(
        "AI joins and whispers to the caller, at the same time",
        "whisper",
        lambda call: call.coach(),
        {AGENT: whisper(CALLER)},
        voice=AGENT,
    ),
    SupervisedStep(
        "supervisor presses 6: barges in",
        "barge",
        lambda call: call.barge(),
        {SUPERVISOR: BARGE},
        phone_timing=FROM_THE_KEY,
    ),
    SupervisedStep(
        "supervisor has hung up, AI has left",
        "closed",
        lambda call: call.leave(),
        {SUPERVISOR: None, AGENT: None},
    ),
)
