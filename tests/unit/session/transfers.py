"""A transfer at each of its stages, and what its effects amount to."""

from __future__ import annotations

from typing import Final

from bridge.model.errors import ErrorCode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant, participant
from bridge.session.inputs import Token
from bridge.session.transfer import Stage, Transfer, inputs, step
from bridge.session.transfer.effects import Place, Placement, Tell, TransferEffect, TransferNotice
from bridge.session.transfer.inputs import Plan, Target, TransferInput

ONE: Final = Token(1)
TWO: Final = Token(2)
HUMAN, HUMAN2, GUEST = participant("human"), participant("human2"), participant("guest")
BOTH, ALONE = frozenset({CALLER, CALLEE}), frozenset({CALLER})
FIRST, SECOND = Target("PJSIP/1003", 20), Target("PJSIP/1004", 20)
WARM = Plan(((FIRST,),))
IN_TURN, GROUP = Plan(((FIRST,), (SECOND,))), Plan(((FIRST, SECOND),))
BUSY = inputs.LegFailed(HUMAN, ErrorCode.CALL_BUSY, "busy", 17)
NOBODY: frozenset[Participant] = frozenset()
HELD_ALL = Placement(held=ALONE, apart=frozenset({HUMAN}), kept=True)
BACK = Placement(apart=frozenset({HUMAN}), leaving=frozenset({HUMAN}))


def feed(transfer: Transfer, *events: TransferInput) -> tuple[Transfer, list[TransferEffect]]:
    effects: list[TransferEffect] = []
    for event in events:
        transfer, out = step(transfer, event)
        effects += out
    return transfer, effects


def begin(plan: Plan = WARM, by: Participant = AGENT, *, agent: bool = True) -> Transfer:
    parties = BOTH if by == CALLEE else ALONE
    return step(Transfer(), inputs.Begin(ONE, by, ALONE, plan, parties, agent=agent))[0]


def stands(transfer: Transfer) -> inputs.Placed:
    return inputs.Placed(transfer.number)


def fails(transfer: Transfer) -> inputs.PlaceFailed:
    return inputs.PlaceFailed(transfer.number, "refused")


def ringing(plan: Plan = WARM, by: Participant = AGENT, *, agent: bool = True) -> Transfer:
    return step(holding := begin(plan, by, agent=agent), stands(holding))[0]


def offered(plan: Plan = WARM, by: Participant = AGENT) -> Transfer:
    return step(ringing(plan, by), inputs.LegAnswered(HUMAN))[0]


def joining(by: Participant = AGENT) -> Transfer:
    return step(offered(WARM, by), inputs.Accepted(HUMAN))[0]


def consulting(by: Participant = AGENT) -> Transfer:
    return step(before := joining(by), stands(before))[0]


def after(transfer: Transfer, event: TransferInput) -> Transfer:
    """Return what comes of a command when it is carried out."""
    now = step(transfer, event)[0]
    return step(now, stands(now))[0]


def aside(by: Participant = AGENT) -> Transfer:
    return after(consulting(by), inputs.Toggle(TWO))


def together(by: Participant = AGENT) -> Transfer:
    return after(consulting(by), inputs.Conference(TWO))


def completing(by: Participant = AGENT) -> Transfer:
    return step(consulting(by), inputs.Complete(TWO))[0]


def ending(effects: list[TransferEffect]) -> Tell | None:
    told = [e for e in effects if isinstance(e, Tell) and e.notice is TransferNotice.ENDED]
    assert len(told) <= 1
    return told[0] if told else None


def placed(effects: list[TransferEffect]) -> list[Placement]:
    return [effect.placement for effect in effects if isinstance(effect, Place)]


def brought_back(transfer: Transfer) -> tuple[Transfer, list[TransferEffect]]:
    """Let the customers come back."""
    assert transfer.stage is Stage.RETURNING
    assert transfer.wanted == BACK
    return feed(transfer, stands(transfer))
