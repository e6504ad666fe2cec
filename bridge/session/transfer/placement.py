"""Who is where at each stage of a transfer, and what the humans are called. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from bridge.model.participants import AGENT, Participant
from bridge.session.transfer.effects import Outcome, Place, Placement, TransferEffect
from bridge.session.transfer.inputs import Plan
from bridge.session.transfer.state import Stage, Transfer

_NOBODY: frozenset[Participant] = frozenset()

UNDER_WAY = frozenset(
    {
        Stage.HOLDING,
        Stage.JOINING,
        Stage.TURNING_ASIDE,
        Stage.TURNING_BACK,
        Stage.GATHERING,
        Stage.COMPLETING,
        Stage.RELEASING,
        Stage.RETURNING,
    }
)
"""Stages that last until a Place is answered."""


def placement(transfer: Transfer) -> Placement:
    """Return who is to be where now."""
    human = _NOBODY if transfer.human is None else frozenset({transfer.human})
    others = transfer.humans - human
    match transfer.stage:
        case Stage.HOLDING | Stage.RINGING:
            waits = transfer.plan.hold_at_once or not transfer.attended
            return Placement(
                held=transfer.customers if waits else _NOBODY,
                apart=_NOBODY if transfer.plan.joins_at_once else transfer.humans,
                leaving=_NOBODY if transfer.attended else _who_leaves(transfer),
                kept=True,
            )
        case Stage.JOINING | Stage.CONSULTING | Stage.TURNING_BACK:
            return Placement(held=transfer.customers, apart=others, kept=True)
        case Stage.TURNING_ASIDE | Stage.ASIDE:
            return Placement(held=human, apart=others, kept=True)
        case Stage.GATHERING | Stage.TOGETHER:
            return Placement(apart=others, kept=True)
        case Stage.COMPLETING:
            stays = transfer.outcome is Outcome.CONFERENCED
            leaves = _NOBODY if stays else _who_leaves(transfer)
            return Placement(apart=others, leaving=leaves | others)
        case Stage.RELEASING:
            humans = transfer.humans
            return Placement(held=transfer.customers, apart=others, leaving=humans, kept=True)
        case Stage.RETURNING:
            return Placement(apart=transfer.humans, leaving=transfer.humans)
        case Stage.NEW | Stage.OVER:
            return transfer.wanted


def _who_leaves(transfer: Transfer) -> frozenset[Participant]:
    """Return who transfers, if he is a party; the agent leaves by himself."""
    is_party = transfer.by_there and transfer.by != AGENT
    return frozenset({transfer.by}) if is_party else _NOBODY


def placed(before: Transfer, now: Transfer) -> tuple[Transfer, tuple[TransferEffect, ...]]:
    """Ask for the placement of ``now`` where it is another, or where the stage waits for one."""
    entered = now.stage is not before.stage and now.stage in UNDER_WAY
    # A rule that asks for the same once more has done so itself.
    asked = now.number != before.number
    if asked or (placement(now) == now.wanted and not entered):
        return now, ()
    return place(now)


def place(transfer: Transfer, again: int = 0) -> tuple[Transfer, tuple[TransferEffect, ...]]:
    """Ask for the placement, whatever was asked for before."""
    number, wanted = transfer.number + 1, placement(transfer)
    unsure = transfer.unsure or transfer.asked
    asked = replace(transfer, number=number, wanted=wanted, asked=True, unsure=unsure)
    return asked, (Place(number, wanted, again),)


def forgotten(where: Placement, party: Participant) -> Placement:
    """Return the same without somebody who has gone: nothing has to be done for that."""
    gone = {party}
    return replace(
        where, held=where.held - gone, apart=where.apart - gone, leaving=where.leaving - gone
    )


# --- names --------------------------------------------------------------------------------------

_HUMAN = "human"
_LONGEST = 28
"""Of a name that a number may follow: 32 is the most that a participant's may have."""


def names_of(plan: Plan, taken: frozenset[Participant]) -> tuple[tuple[Participant, ...], ...]:
    """Return a name for each target of each round; none is taken, none is there twice."""
    used = set(taken)
    names: list[tuple[Participant, ...]] = []
    for targets in plan.rounds:
        row: list[Participant] = []
        for target in targets:
            name = next(name for name in _candidates(target.name) if name not in used)
            used.add(name)
            row.append(name)
        names.append(tuple(row))
    return tuple(names)


def _candidates(wish: str) -> Iterator[Participant]:
    """Return the wish, as far as it can be a name, and then the same with numbers."""
    plain = re.sub(r"[^a-z0-9]+", "_", wish.lower()).strip("_").lstrip("0123456789_")
    base = plain[:_LONGEST] or _HUMAN
    yield Participant(base)
    for number in count(2):
        yield Participant(f"{base}{number}")
