"""An observer's part in a call as data: what may happen at which stage, and which rule follows.

Every stage lists every input; there is no default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, TypeVar, cast, get_args

from bridge.session.inputs import (
    AudienceFailed,
    AudienceStands,
    EventsMissed,
    LineLost,
    ServerLost,
    TornDown,
    VoiceFailed,
    VoiceFinished,
    VoiceReached,
    VoiceSettled,
)
from bridge.session.observer import rules
from bridge.session.observer.inputs import (
    CallOver,
    ChangeMode,
    Join,
    Leave,
    Moved,
    ObserverInput,
    PeopleChanged,
    Seated,
    SeatFailed,
    SeatGone,
)
from bridge.session.observer.rules import Step
from bridge.session.observer.state import Observer, Stage
from bridge.session.table import completed

Rule: TypeAlias = Callable[[Observer, ObserverInput], Step]
Row: TypeAlias = tuple[type[ObserverInput], Rule]
_I = TypeVar("_I")


def step(observer: Observer, event: ObserverInput) -> Step:
    """Return what ``observer`` becomes by ``event``, and the effects that follow, in order."""
    return TRANSITIONS[observer.stage][type(event)](observer, event)


def _on(kind: type[_I], rule: Callable[[Observer, _I], Step]) -> Row:
    """Tie a rule to the input it takes; ``step`` calls it with nothing else."""
    return cast("type[ObserverInput]", kind), cast("Rule", rule)


def _ignored(*kinds: type[ObserverInput]) -> tuple[Row, ...]:
    return tuple((kind, rules.ignore) for kind in kinds)


_NO_VOICE: Final = _ignored(VoiceReached, VoiceSettled, VoiceFailed, VoiceFinished)
_NO_SEAT: Final = _ignored(Seated, SeatFailed)
_NO_LINES: Final = _ignored(AudienceStands, AudienceFailed, LineLost, EventsMissed)

_ON_THE_CALL: Final = (
    _on(Leave, rules.leave),
    _on(Moved, rules.moved),
    *_NO_SEAT,
    _on(SeatGone, rules.seat_gone),
    _on(PeopleChanged, rules.people_changed),
    _on(CallOver, rules.call_over),
    _on(AudienceStands, rules.gates_stand),
    _on(AudienceFailed, rules.fail_closed),
    _on(LineLost, rules.mend),
    _on(EventsMissed, rules.mend),
    _on(VoiceReached, rules.voice_reached),
    _on(VoiceSettled, rules.voice_settled),
    _on(VoiceFailed, rules.voice_failed),
)

_ROWS: Final[Mapping[Stage, tuple[Row, ...]]] = {
    Stage.NEW: (
        _on(Join, rules.join),
        _on(ChangeMode, rules.refuse_absent),
        _on(Leave, rules.leave_early),
        *_ignored(Moved),
        *_NO_SEAT,
        _on(SeatGone, rules.seat_gone),
        _on(PeopleChanged, rules.note_people),
        _on(CallOver, rules.call_over),
        *_NO_LINES,
        *_NO_VOICE,
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Stage.SEATING: (
        _on(Join, rules.refuse_absent),
        _on(ChangeMode, rules.refuse_absent),
        _on(Leave, rules.leave_early),
        *_ignored(Moved),
        _on(Seated, rules.seated),
        _on(SeatFailed, rules.seat_failed),
        _on(SeatGone, rules.seat_gone),
        _on(PeopleChanged, rules.note_people),
        _on(CallOver, rules.call_over),
        *_NO_LINES,
        *_NO_VOICE,
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Stage.JOINING: (
        _on(Join, rules.refuse_absent),
        _on(ChangeMode, rules.refuse_absent),
        _on(Leave, rules.leave_early),
        _on(Moved, rules.moved),
        *_NO_SEAT,
        _on(SeatGone, rules.seat_gone),
        _on(PeopleChanged, rules.people_changed),
        _on(CallOver, rules.call_over),
        _on(AudienceStands, rules.joined),
        _on(AudienceFailed, rules.join_failed),
        *_ignored(LineLost, EventsMissed),
        *_NO_VOICE,
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Stage.PRESENT: (
        _on(Join, rules.refuse_absent),
        _on(ChangeMode, rules.change_mode),
        *_ON_THE_CALL,
        *_ignored(VoiceFinished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Stage.FINISHING: (
        _on(Join, rules.refuse_absent),
        _on(ChangeMode, rules.refuse_absent),
        *_ON_THE_CALL,
        _on(VoiceFinished, rules.voice_finished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Stage.ENDING: (
        _on(Join, rules.refuse_absent),
        _on(ChangeMode, rules.refuse_absent),
        _on(Leave, rules.join_the_end),
        *_ignored(Moved, SeatGone, PeopleChanged, CallOver),
        *_NO_SEAT,
        *_NO_LINES,
        *_NO_VOICE,
        *_ignored(ServerLost),
        _on(TornDown, rules.cleared),
    ),
    Stage.GONE: (
        _on(Join, rules.refuse_absent),
        _on(ChangeMode, rules.refuse_absent),
        _on(Leave, rules.already_gone),
        *_ignored(Moved, SeatGone, PeopleChanged, CallOver),
        *_NO_SEAT,
        *_NO_LINES,
        *_NO_VOICE,
        *_ignored(ServerLost, TornDown),
    ),
}

INPUTS: Final[tuple[type[ObserverInput], ...]] = get_args(ObserverInput)

TRANSITIONS: Final[Mapping[Stage, Mapping[type[ObserverInput], Rule]]] = completed(
    _ROWS, Stage, INPUTS
)
"""For every stage and every input the rule that follows."""
