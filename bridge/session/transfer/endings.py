"""How a transfer's commands are answered, and how it comes to an end: shared by its rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.participants import AGENT, Participant
from bridge.model.states import HangupCause
from bridge.session.effects import Refuse, Succeed
from bridge.session.transfer import inputs
from bridge.session.transfer.effects import (
    Drop,
    EndCall,
    Leave,
    Outcome,
    Tell,
    TransferEffect,
    TransferNotice,
    Withdraw,
)
from bridge.session.transfer.inputs import TransferCommand, TransferInput
from bridge.session.transfer.placement import place
from bridge.session.transfer.state import TRIES, Attempt, Stage, Transfer

Step: TypeAlias = tuple[Transfer, tuple[TransferEffect, ...]]

_HARMLESS: Final = {Outcome.CANCELLED, Outcome.FAILED, Outcome.HUMAN_LEFT}
"""The customers are where Cancel would have brought them."""

_ALONE_WITH_HIM: Final = {
    Stage.JOINING,
    Stage.CONSULTING,
    Stage.TURNING_ASIDE,
    Stage.TURNING_BACK,
}
"""The human talks, or may do so, and is not to hear the customers."""


def ignore(transfer: Transfer, event: TransferInput) -> Step:
    """Nothing follows: the fact is late, doubled, or speaks of what is over."""
    del event
    return transfer, ()


# --- answering commands -------------------------------------------------------------------------


def refusal(event: TransferCommand, code: ErrorCode, message: str) -> tuple[Refuse, ...]:
    """Return the refusal of a command."""
    return (Refuse(event.token, code, message),)


def succeed_waiting(transfer: Transfer) -> Step:
    """Answer those who waited for what stands now."""
    succeeded = tuple(Succeed(token) for token in transfer.waiting)
    return replace(transfer, waiting=()), succeeded


def refuse_waiting(transfer: Transfer, code: ErrorCode, message: str) -> Step:
    """Answer those who waited for what is not to be."""
    refused = tuple(Refuse(token, code, message) for token in transfer.waiting)
    return replace(transfer, waiting=()), refused


def refuse_not_begun(transfer: Transfer, event: TransferCommand) -> Step:
    """There is nothing that it could be about."""
    return transfer, refusal(event, ErrorCode.INVALID_STATE, "there is no transfer yet")


def refuse_second(transfer: Transfer, event: inputs.Begin) -> Step:
    """A call has one transfer at a time."""
    message = "the call is being transferred: complete or cancel that first"
    return transfer, refusal(event, ErrorCode.COMMAND_IN_PROGRESS, message)


def refuse_early(transfer: Transfer, event: TransferCommand) -> Step:
    """There is nobody to talk with yet."""
    message = "nobody has accepted yet: wait for that, or complete it unattended"
    return transfer, refusal(event, ErrorCode.INVALID_STATE, message)


def refuse_busy(transfer: Transfer, event: TransferCommand) -> Step:
    """Another command has to end first."""
    message = f"the transfer is {transfer.stage}: wait for that"
    return transfer, refusal(event, ErrorCode.COMMAND_IN_PROGRESS, message)


def refuse_late(transfer: Transfer, event: TransferCommand) -> Step:
    """It ends already."""
    message = f"the transfer ends: {transfer.outcome}"
    return transfer, refusal(event, ErrorCode.INVALID_STATE, message)


def complete_over(transfer: Transfer, event: inputs.Complete) -> Step:
    """Completing twice is no error."""
    if transfer.outcome is Outcome.COMPLETED:
        return transfer, (Succeed(event.token),)
    return refuse_late(transfer, event)


def cancel_over(transfer: Transfer, event: inputs.Cancel) -> Step:
    """Cancelling what has come to nothing already is no error."""
    if transfer.outcome in _HARMLESS:
        return transfer, (Succeed(event.token),)
    return refuse_late(transfer, event)


# --- attempts -----------------------------------------------------------------------------------


def dropped(attempts: Iterable[Attempt]) -> tuple[TransferEffect, ...]:
    """Return what lets these attempts go."""
    effects: list[TransferEffect] = []
    for attempt in attempts:
        if attempt.answered:
            effects.append(Withdraw(attempt.party))
        effects.append(Drop(attempt.party, HangupCause.NORMAL))
    return tuple(effects)


def answered_late(transfer: Transfer, event: inputs.LegAnswered) -> Step:
    """Whoever was dropped as he picked up is dropped again; another was accepted, or none is."""
    party = event.party
    is_known = party == transfer.human or any(a.party == party for a in transfer.attempts)
    if is_known or party not in transfer.humans:
        return transfer, ()
    return transfer, (Drop(party, HangupCause.NORMAL),)


# --- the ways to the end ------------------------------------------------------------------------


def come_back(transfer: Transfer, outcome: Outcome, code: ErrorCode | None, message: str) -> Step:
    """Bring the customers back, or end the call where they would be alone."""
    why = code or ErrorCode.INVALID_STATE
    hears = transfer.human is not None and transfer.stage in _ALONE_WITH_HIM
    answered, refused = refuse_waiting(transfer, why, message)
    now = replace(
        answered,
        stage=Stage.RELEASING if hears else Stage.RETURNING,
        attempts=(),
        outcome=outcome,
        code=code,
        message=message,
        failures=0,
    )
    effects = (*dropped(transfer.attempts), *refused)
    if now.has_company:
        return now, effects
    ended, more = end_call(now)
    return ended, (*effects, *more)


def end_call(transfer: Transfer) -> Step:
    """The transfer is over, and with it the call: nobody is left to talk to."""
    over, told = _over(transfer)
    return over, (*told, EndCall())


def _over(transfer: Transfer) -> Step:
    over = replace(transfer, stage=Stage.OVER, attempts=())
    told = Tell(
        TransferNotice.ENDED,
        party=transfer.human,
        outcome=transfer.outcome,
        code=transfer.code,
        message=transfer.message,
    )
    return over, (told,)


def completed(transfer: Transfer, event: inputs.Placed) -> Step:
    """The customers talk with the human: who transferred is done."""
    del event
    answered, succeeded = succeed_waiting(transfer)
    over, told = _over(answered)
    leaves = transfer.outcome is Outcome.COMPLETED and transfer.by == AGENT and transfer.by_there
    return over, (*told, *((Leave(),) if leaves else ()), *succeeded)


def returned(transfer: Transfer, event: inputs.Placed) -> Step:
    """The customers are back."""
    del event
    answered, succeeded = succeed_waiting(transfer)
    over, told = _over(answered)
    return over, (*told, *succeeded)


def return_failed(transfer: Transfer, event: inputs.PlaceFailed) -> Step:
    """Try it again; a call in which nobody can be brought back is not left as it is."""
    failed = replace(transfer, failures=transfer.failures + 1)
    if failed.failures < TRIES:
        return place(failed, again=failed.failures)
    message = f"the customers could not be brought back, the call is ended: {event.message}"
    answered, refused = refuse_waiting(failed, ErrorCode.REQUEST_FAILED, message)
    over, effects = end_call(replace(answered, code=ErrorCode.REQUEST_FAILED, message=message))
    return over, (*refused, *effects)


def caller_hung_up(transfer: Transfer, gone: Participant) -> Step:
    """None of the customers is left: everybody is let go."""
    message = f"the {gone} hung up"
    answered, refused = refuse_waiting(transfer, ErrorCode.CALLER_GONE, message)
    now = replace(
        answered, outcome=Outcome.CALLER_HUNG_UP, code=ErrorCode.CALLER_GONE, message=message
    )
    over, effects = end_call(now)
    return over, (*dropped(transfer.attempts), *refused, *effects)
