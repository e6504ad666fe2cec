"""A transfer as data: what may happen at which stage, and which rule follows.

Every stage lists every input; there is no default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar, cast, get_args

from bridge.session.table import completed
from bridge.session.transfer import endings, resuming, rules
from bridge.session.transfer.effects import TransferEffect
from bridge.session.transfer.endings import Step, ignore
from bridge.session.transfer.inputs import (
    Accepted,
    Begin,
    CallOver,
    Cancel,
    Complete,
    Conference,
    Declined,
    LegAnswered,
    LegFailed,
    PartyJoined,
    PartyLeft,
    Placed,
    PlaceFailed,
    Resumed,
    Toggle,
    TransferInput,
)
from bridge.session.transfer.placement import place, placed
from bridge.session.transfer.state import Stage, Transfer

Rule: TypeAlias = Callable[[Transfer, TransferInput], Step]
Row: TypeAlias = tuple[type[TransferInput], Rule]
_I = TypeVar("_I")


def step(transfer: Transfer, event: TransferInput) -> Step:
    """Return what ``transfer`` becomes by ``event``, and the effects that follow, in order.

    Where somebody is to be elsewhere than before, a Place comes first of them.
    """
    after, effects = _followed(transfer, event)
    now, places = placed(transfer, after)
    return now, (*places, *effects)


def _followed(transfer: Transfer, event: TransferInput) -> Step:
    return TRANSITIONS[transfer.stage][type(event)](transfer, event)


def resumed(transfer: Transfer, event: Resumed) -> Step:
    """Let happen what was missed; then ask anew for all that is under way."""
    waiting = () if event.restarted else transfer.waiting
    now = replace(transfer, waiting=waiting, agent=transfer.agent or event.agent)
    effects: list[TransferEffect] = []
    for fact in resuming.missed(now, event):
        now, out = _followed(now, fact)
        effects += out
    if now.stage is Stage.OVER:
        return now, (*effects, *resuming.left_over(now, event))
    now, places = place(replace(now, failures=0, asked=True))
    return now, (*places, *effects, *resuming.offered_anew(transfer, now, event))


def _on(kind: type[_I], rule: Callable[[Transfer, _I], Step]) -> Row:
    """Tie a rule to the input it takes; ``step`` calls it with nothing else."""
    return cast("type[TransferInput]", kind), cast("Rule", rule)


def _placed(rule: Callable[[Transfer, Placed], Step]) -> Row:
    """Tie a rule to what became of the last Place; what became of those before is late."""

    def answered(transfer: Transfer, event: Placed) -> Step:
        if event.number != transfer.number or not transfer.asked:
            return transfer, ()
        now = replace(transfer, stood=transfer.wanted, asked=False, unsure=False, failures=0)
        return rule(now, event)

    return _on(Placed, answered)


def _not_placed(rule: Callable[[Transfer, PlaceFailed], Step]) -> Row:
    def answered(transfer: Transfer, event: PlaceFailed) -> Step:
        if event.number != transfer.number or not transfer.asked:
            return transfer, ()
        return rule(replace(transfer, asked=False), event)

    return _on(PlaceFailed, answered)


def _ignored(*kinds: type[TransferInput]) -> tuple[Row, ...]:
    return tuple((kind, ignore) for kind in kinds)


_NO_ANSWERS: Final = _ignored(LegFailed, Accepted, Declined)
_LATE_ANSWERS: Final = (_on(LegAnswered, endings.answered_late), *_NO_ANSWERS)
_GOING_ON: Final = (
    _on(PartyJoined, rules.party_joined),
    _on(Resumed, resumed),
    _on(CallOver, rules.call_over),
)
_TURNING: Final = (
    _on(Begin, endings.refuse_second),
    _on(Complete, rules.complete),
    _on(Cancel, rules.cancel),
    _on(Toggle, endings.refuse_busy),
    _on(Conference, endings.refuse_busy),
    *_LATE_ANSWERS,
    _on(PartyLeft, rules.left_the_consult),
    _placed(rules.arrived),
)
_TALKING: Final = (
    _on(Begin, endings.refuse_second),
    _on(Complete, rules.complete),
    _on(Cancel, rules.cancel),
    _on(Toggle, rules.toggle),
    _on(Conference, rules.conference),
    *_LATE_ANSWERS,
    _on(PartyLeft, rules.left_the_consult),
    _placed(rules.stands_again),
    _not_placed(rules.try_again),
    *_GOING_ON,
)

_COMING_BACK: Final = (
    _on(Begin, endings.refuse_second),
    _on(Complete, endings.refuse_late),
    _on(Cancel, rules.cancel_again),
    _on(Toggle, endings.refuse_late),
    _on(Conference, endings.refuse_late),
    *_LATE_ANSWERS,
    _on(PartyLeft, rules.left_on_the_way_back),
    _not_placed(endings.return_failed),
    *_GOING_ON,
)

_ROWS: Final[Mapping[Stage, tuple[Row, ...]]] = {
    Stage.NEW: (
        _on(Begin, rules.begin),
        _on(Complete, endings.refuse_not_begun),
        _on(Cancel, endings.refuse_not_begun),
        _on(Toggle, endings.refuse_not_begun),
        _on(Conference, endings.refuse_not_begun),
        *_ignored(LegAnswered),
        *_NO_ANSWERS,
        *_ignored(PartyLeft, PartyJoined, Placed, PlaceFailed, Resumed, CallOver),
    ),
    Stage.HOLDING: (
        _on(Begin, endings.refuse_second),
        _on(Complete, rules.complete_early),
        _on(Cancel, rules.cancel),
        _on(Toggle, endings.refuse_early),
        _on(Conference, endings.refuse_early),
        *_LATE_ANSWERS,
        _on(PartyLeft, rules.left_while_ringing),
        _placed(rules.holding_stands),
        _not_placed(rules.holding_failed),
        *_GOING_ON,
    ),
    Stage.RINGING: (
        _on(Begin, endings.refuse_second),
        _on(Complete, rules.complete_early),
        _on(Cancel, rules.cancel),
        _on(Toggle, endings.refuse_early),
        _on(Conference, endings.refuse_early),
        _on(LegAnswered, rules.leg_answered),
        _on(LegFailed, rules.leg_failed),
        _on(Accepted, rules.accepted),
        _on(Declined, rules.declined),
        _on(PartyLeft, rules.left_while_ringing),
        _placed(rules.stands_again),
        _not_placed(rules.ringing_failed),
        *_GOING_ON,
    ),
    Stage.JOINING: (*_TURNING, _not_placed(rules.place_failed), *_GOING_ON),
    Stage.CONSULTING: _TALKING,
    Stage.TURNING_ASIDE: (*_TURNING, _not_placed(rules.turn_failed), *_GOING_ON),
    Stage.ASIDE: _TALKING,
    Stage.TURNING_BACK: (*_TURNING, _not_placed(rules.turn_failed), *_GOING_ON),
    Stage.GATHERING: (*_TURNING, _not_placed(rules.turn_failed), *_GOING_ON),
    Stage.TOGETHER: _TALKING,
    Stage.COMPLETING: (
        _on(Begin, endings.refuse_second),
        _on(Complete, rules.complete_again),
        _on(Cancel, endings.refuse_busy),
        _on(Toggle, endings.refuse_late),
        _on(Conference, endings.refuse_late),
        *_LATE_ANSWERS,
        _on(PartyLeft, rules.left_as_it_completes),
        _placed(endings.completed),
        _not_placed(rules.place_failed),
        *_GOING_ON,
    ),
    Stage.RELEASING: (*_COMING_BACK, _placed(rules.released)),
    Stage.RETURNING: (*_COMING_BACK, _placed(endings.returned)),
    Stage.OVER: (
        _on(Begin, endings.refuse_late),
        _on(Complete, endings.complete_over),
        _on(Cancel, endings.cancel_over),
        _on(Toggle, endings.refuse_late),
        _on(Conference, endings.refuse_late),
        *_LATE_ANSWERS,
        *_ignored(PartyLeft, PartyJoined, Placed, PlaceFailed),
        _on(Resumed, resumed),
        *_ignored(CallOver),
    ),
}

INPUTS: Final[tuple[type[TransferInput], ...]] = get_args(TransferInput)

TRANSITIONS: Final[Mapping[Stage, Mapping[type[TransferInput], Rule]]] = completed(
    _ROWS, Stage, INPUTS
)
"""For every stage and every input the rule that follows."""
