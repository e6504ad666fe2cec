"""What follows from an input, stage by stage. Pure: a transfer in, the next one and effects out.

When unsure, the customers come back to who transfers; where nobody is, the call is ended. That a
Place follows wherever the placement of the next transfer is another is seen to by ``machine.step``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bridge.model.errors import ErrorCode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import EndReason, HangupCause
from bridge.session.effects import Succeed
from bridge.session.transfer import inputs
from bridge.session.transfer.effects import (
    Drop,
    Offer,
    Outcome,
    Ring,
    Tell,
    TransferEffect,
    TransferNotice,
    Withdraw,
)
from bridge.session.transfer.endings import (
    Step,
    caller_hung_up,
    come_back,
    dropped,
    end_call,
    refusal,
    refuse_busy,
    refuse_waiting,
    succeed_waiting,
)
from bridge.session.transfer.placement import forgotten, names_of, place, placement
from bridge.session.transfer.state import TRIES, Attempt, Stage, Transfer

_ARRIVES: Final = {
    Stage.JOINING: Stage.CONSULTING,
    Stage.TURNING_BACK: Stage.CONSULTING,
    Stage.TURNING_ASIDE: Stage.ASIDE,
    Stage.GATHERING: Stage.TOGETHER,
}
_TURNS: Final = {
    Stage.CONSULTING: Stage.TURNING_ASIDE,
    Stage.ASIDE: Stage.TURNING_BACK,
    Stage.TOGETHER: Stage.TURNING_BACK,
}
_REASONS: Final = {EndReason.CALLER_HUNG_UP: CALLER, EndReason.CALLEE_HUNG_UP: CALLEE}


# --- beginning ----------------------------------------------------------------------------------


def begin(transfer: Transfer, event: inputs.Begin) -> Step:
    """Put the customers where they wait."""
    if problem := _problem(event):
        return transfer, refusal(event, ErrorCode.BAD_ARGUMENT, problem)
    by_there = event.agent if event.by == AGENT else event.by in event.parties
    holding = replace(
        transfer,
        stage=Stage.HOLDING,
        plan=event.plan,
        names=names_of(event.plan, event.parties | event.taken | {CALLER, CALLEE, AGENT}),
        by=event.by,
        by_there=by_there,
        attended=by_there and not event.plan.blind,
        agent=event.agent,
        customers=event.customers,
        colleagues=event.parties - event.customers - {event.by},
        waiting=(event.token,),
    )
    return holding, ()


def _problem(event: inputs.Begin) -> str | None:
    there = ", ".join(sorted(event.parties)) or "nobody"
    if not event.customers or event.customers - event.parties:
        named = ", ".join(sorted(event.customers)) or "nobody"
        return f"{named} cannot be transferred; there are: {there}"
    if event.by in event.customers:
        return f"{event.by} cannot transfer himself; say who is transferred"
    if not event.plan.rounds or not all(event.plan.rounds):
        return "name at least one target in each round"
    return None


def holding_stands(transfer: Transfer, event: inputs.Placed) -> Step:
    """The customers wait: ring."""
    del event
    answered, succeeded = succeed_waiting(transfer)
    ringing, effects = _ring_next(replace(answered, stage=Stage.RINGING))
    return ringing, (Tell(TransferNotice.STARTED), *effects, *succeeded)


def holding_failed(transfer: Transfer, event: inputs.PlaceFailed) -> Step:
    """Nothing has changed, unless something else was placed before."""
    if event.number > 1:
        return come_back(transfer, Outcome.FAILED, ErrorCode.REQUEST_FAILED, event.message)
    answered, refused = refuse_waiting(transfer, ErrorCode.REQUEST_FAILED, event.message)
    over = replace(
        answered,
        stage=Stage.OVER,
        outcome=Outcome.FAILED,
        code=ErrorCode.REQUEST_FAILED,
        message=event.message,
    )
    if not transfer.has_company:
        ended, effects = end_call(over)
        return ended, (*refused, *effects)
    told = Tell(TransferNotice.ENDED, None, over.outcome, over.code, over.message)
    return over, (told, *refused)


# --- ringing ------------------------------------------------------------------------------------


def _ring_next(transfer: Transfer) -> Step:
    """Ring the targets of the next round; there has to be one."""
    index = transfer.rounds_begun
    pairs = tuple(zip(transfer.names[index], transfer.plan.rounds[index], strict=True))
    attempts = tuple(Attempt(party, target) for party, target in pairs)
    effects: list[TransferEffect] = []
    for party, target in pairs:
        effects += [
            Ring(party, target, apart=not transfer.plan.joins_at_once),
            Tell(TransferNotice.RINGING, party),
        ]
    return replace(transfer, rounds_begun=index + 1, attempts=attempts), tuple(effects)


def ringing_failed(transfer: Transfer, event: inputs.PlaceFailed) -> Step:
    """Who transfers stays, and waits after all; if he is gone, nobody is with the customers."""
    if transfer.unsure:
        return try_again(transfer, event)
    if not transfer.by_there:
        return come_back(transfer, Outcome.FAILED, ErrorCode.REQUEST_FAILED, event.message)
    answered, refused = refuse_waiting(transfer, ErrorCode.REQUEST_FAILED, event.message)
    return replace(answered, attended=True, wanted=transfer.stood), refused


def leg_answered(transfer: Transfer, event: inputs.LegAnswered) -> Step:
    """Offer it to him; where there is no offer, he has accepted by answering."""
    attempt = _attempt(transfer, event.party)
    if attempt is None:
        known = event.party in transfer.humans
        return transfer, (Drop(event.party, HangupCause.NORMAL),) if known else ()
    if attempt.answered:
        return transfer, ()
    answered = tuple(replace(a, answered=True) if a is attempt else a for a in transfer.attempts)
    now = replace(transfer, attempts=answered)
    told = Tell(TransferNotice.ANSWERED, event.party)
    if transfer.plan.offer:
        return now, (told, Offer(event.party))
    after, effects = accepted(now, inputs.Accepted(event.party))
    return after, (told, *effects)


def leg_failed(transfer: Transfer, event: inputs.LegFailed) -> Step:
    """One less who may accept."""
    attempt = _attempt(transfer, event.party)
    if attempt is None:
        return transfer, ()
    return _without(transfer, attempt, event.code, event.message)


def declined(transfer: Transfer, event: inputs.Declined) -> Step:
    """He is let go, and is one less who may accept."""
    attempt = _attempt(transfer, event.party)
    if attempt is None or not attempt.answered:
        return transfer, ()
    after, effects = _without(transfer, attempt, event.code, event.message)
    return after, (Drop(event.party, HangupCause.NORMAL), *effects)


def _without(transfer: Transfer, failed: Attempt, code: ErrorCode, message: str) -> Step:
    rest = tuple(attempt for attempt in transfer.attempts if attempt is not failed)
    now = replace(transfer, attempts=rest, code=code, message=message)
    withdrawn = (Withdraw(failed.party),) if failed.answered else ()
    told = Tell(TransferNotice.NOT_ACCEPTED, failed.party, None, code, message)
    if rest:
        return now, (*withdrawn, told)
    if now.rounds_begun < len(now.plan.rounds):
        after, effects = _ring_next(now)
    else:
        after, effects = come_back(now, Outcome.FAILED, code, message)
    return after, (*withdrawn, told, *effects)


def accepted(transfer: Transfer, event: inputs.Accepted) -> Step:
    """He has it: the others are let go, and he is put to who transfers, or to the customers."""
    attempt = _attempt(transfer, event.party)
    if attempt is None or not attempt.answered:
        return transfer, ()
    consults = transfer.plan.consult and transfer.attended
    now = replace(
        transfer,
        stage=Stage.JOINING if consults else Stage.COMPLETING,
        human=event.party,
        attempts=(),
        outcome=None if consults else Outcome.COMPLETED,
        code=None,
        message="",
    )
    offered = (Withdraw(event.party),) if transfer.plan.offer else ()
    others = dropped(a for a in transfer.attempts if a is not attempt)
    return now, (*offered, Tell(TransferNotice.ACCEPTED, event.party), *others)


def _attempt(transfer: Transfer, party: Participant) -> Attempt | None:
    return next((a for a in transfer.attempts if a.party == party), None)


# --- the consult --------------------------------------------------------------------------------


def arrived(transfer: Transfer, event: inputs.Placed) -> Step:
    """Who talks with whom is as it was wanted."""
    del event
    answered, succeeded = succeed_waiting(replace(transfer, stage=_ARRIVES[transfer.stage]))
    return answered, (Tell(TransferNotice.CHANGED, transfer.human), *succeeded)


def place_failed(transfer: Transfer, event: inputs.PlaceFailed) -> Step:
    """He could not be put to anybody: he is let go, the customers come back."""
    return come_back(transfer, Outcome.FAILED, ErrorCode.REQUEST_FAILED, event.message)


def turn_failed(transfer: Transfer, event: inputs.PlaceFailed) -> Step:
    """Everybody talks with whom he talked before; where that is not known, it is seen to."""
    wanted = transfer.wanted if transfer.unsure else transfer.stood
    back = replace(transfer, stage=transfer.came_from, wanted=wanted)
    return refuse_waiting(back, ErrorCode.REQUEST_FAILED, event.message)


def stands_again(transfer: Transfer, event: inputs.Placed) -> Step:
    """It was asked for once more, and is so."""
    del event
    return succeed_waiting(transfer)


def try_again(transfer: Transfer, event: inputs.PlaceFailed) -> Step:
    """Ask for the same, a few times; then the customers had better come back."""
    failed = replace(transfer, failures=transfer.failures + 1)
    if failed.failures < TRIES:
        return place(failed, again=failed.failures)
    return come_back(failed, Outcome.FAILED, ErrorCode.REQUEST_FAILED, event.message)


def toggle(transfer: Transfer, event: inputs.Toggle) -> Step:
    """Talk with the others."""
    turning = replace(
        transfer,
        stage=_TURNS[transfer.stage],
        came_from=transfer.stage,
        waiting=(*transfer.waiting, event.token),
    )
    return turning, ()


def conference(transfer: Transfer, event: inputs.Conference) -> Step:
    """Bring all together, for a while or for good."""
    if event.for_good:
        return _complete(transfer, event, Outcome.CONFERENCED)
    if transfer.stage is Stage.TOGETHER:
        return transfer, (Succeed(event.token),)
    gathering = replace(
        transfer,
        stage=Stage.GATHERING,
        came_from=transfer.stage,
        waiting=(*transfer.waiting, event.token),
    )
    return gathering, ()


# --- completing and cancelling ------------------------------------------------------------------


def complete_early(transfer: Transfer, event: inputs.Complete) -> Step:
    """Who transfers does not wait: a party leaves, the agent stays until somebody accepts."""
    told = (Tell(TransferNotice.UNATTENDED, transfer.by),) if transfer.attended else ()
    now = replace(transfer, attended=False)
    stands = placement(now) == now.wanted and not now.asked
    if transfer.stage is Stage.RINGING and stands:
        return now, (*told, Succeed(event.token))
    return replace(now, waiting=(*now.waiting, event.token)), told


def complete(transfer: Transfer, event: inputs.Complete) -> Step:
    """Leave the customers to the human."""
    return _complete(transfer, event, Outcome.COMPLETED)


def _complete(
    transfer: Transfer, event: inputs.Complete | inputs.Conference, outcome: Outcome
) -> Step:
    message = "the transfer was completed meanwhile"
    answered, refused = refuse_waiting(transfer, ErrorCode.INVALID_STATE, message)
    now = replace(answered, stage=Stage.COMPLETING, outcome=outcome, waiting=(event.token,))
    return now, refused


def complete_again(transfer: Transfer, event: inputs.Complete) -> Step:
    """Answer together with what is under way, if that is the same."""
    if transfer.outcome is not Outcome.COMPLETED:
        return refuse_busy(transfer, event)
    return replace(transfer, waiting=(*transfer.waiting, event.token)), ()


def cancel(transfer: Transfer, event: inputs.Cancel) -> Step:
    """The customers come back."""
    if not transfer.has_company:
        message = "nobody is there to whom the customers could come back; end the call instead"
        return transfer, refusal(event, ErrorCode.INVALID_STATE, message)
    now, effects = come_back(transfer, Outcome.CANCELLED, None, "the transfer was cancelled")
    return replace(now, waiting=(event.token,)), effects


def cancel_again(transfer: Transfer, event: inputs.Cancel) -> Step:
    """They are on their way back already."""
    return replace(transfer, waiting=(*transfer.waiting, event.token)), ()


def released(transfer: Transfer, event: inputs.Placed | inputs.PartyLeft) -> Step:
    """He is gone: the customers come back."""
    del event
    return replace(transfer, stage=Stage.RETURNING, human=None), ()


# --- who comes and goes -------------------------------------------------------------------------


def party_joined(transfer: Transfer, event: inputs.PartyJoined) -> Step:
    """Somebody was added to the call; he talks with whoever is not away."""
    known = transfer.customers | transfer.humans | {transfer.by, AGENT}
    if event.party in known:
        return transfer, ()
    return replace(transfer, colleagues=transfer.colleagues | {event.party}), ()


def left_while_ringing(transfer: Transfer, event: inputs.PartyLeft) -> Step:
    """Without who transfers it rings on; somebody who was to accept is one less who may."""
    attempt = _attempt(transfer, event.party)
    if attempt is not None:
        message = "he hung up before he accepted"
        return _without(transfer, attempt, ErrorCode.CALL_DECLINED, message)
    now = _gone(transfer, event.party)
    if not now.customers:
        return caller_hung_up(now, event.party)
    if now.by_there or not transfer.attended:
        return now, ()
    return replace(now, attended=False), (Tell(TransferNotice.UNATTENDED, now.by),)


def left_the_consult(transfer: Transfer, event: inputs.PartyLeft) -> Step:
    """Without who transfers it is completed; without the human the customers come back."""
    if event.party == transfer.human:
        return _human_left(transfer)
    now = _gone(transfer, event.party)
    if not now.customers:
        return caller_hung_up(now, event.party)
    if now.by_there:
        return now, ()
    message = f"{now.by} left, the transfer is completed"
    answered, refused = refuse_waiting(now, ErrorCode.INVALID_STATE, message)
    completing = replace(
        answered, stage=Stage.COMPLETING, outcome=Outcome.COMPLETED, attended=False
    )
    return completing, (Tell(TransferNotice.UNATTENDED, now.by), *refused)


def left_as_it_completes(transfer: Transfer, event: inputs.PartyLeft) -> Step:
    """That who transfers leaves is as it shall be."""
    if event.party == transfer.human:
        return _human_left(transfer)
    now = _gone(transfer, event.party)
    return (now, ()) if now.customers else caller_hung_up(now, event.party)


def left_on_the_way_back(transfer: Transfer, event: inputs.PartyLeft) -> Step:
    """Without anybody to come back to, the call is ended."""
    if transfer.stage is Stage.RELEASING and event.party == transfer.human:
        return released(transfer, event)
    now = _gone(transfer, event.party)
    if not now.customers:
        return caller_hung_up(now, event.party)
    if now.has_company:
        return now, ()
    answered, refused = refuse_waiting(now, ErrorCode.CALL_CLOSED, "nobody is left to talk to")
    ended, effects = end_call(answered)
    return ended, (*refused, *effects)


def _human_left(transfer: Transfer) -> Step:
    message = f"the {transfer.human} hung up"
    without = replace(transfer, human=None)
    return come_back(without, Outcome.HUMAN_LEFT, ErrorCode.CALL_FAILED, message)


def _gone(transfer: Transfer, party: Participant) -> Transfer:
    """Return the same without somebody whom the transfer did not ring."""
    if party in transfer.humans:
        return transfer
    return replace(
        transfer,
        customers=transfer.customers - {party},
        colleagues=transfer.colleagues - {party},
        by_there=transfer.by_there and party != transfer.by,
        agent=transfer.agent and party != AGENT,
        wanted=forgotten(transfer.wanted, party),
        stood=forgotten(transfer.stood, party),
    )


def call_over(transfer: Transfer, event: inputs.CallOver) -> Step:
    """There is nothing left to transfer."""
    hung_up = _REASONS.get(event.reason) if event.reason is not None else None
    is_customer = hung_up is not None and transfer.customers <= {hung_up}
    code = ErrorCode.CALLER_GONE if is_customer else ErrorCode.CALL_CLOSED
    message = f"the call ended: {event.reason or 'for everybody'}"
    answered, refused = refuse_waiting(transfer, code, message)
    over = replace(
        answered,
        stage=Stage.OVER,
        attempts=(),
        outcome=Outcome.CALLER_HUNG_UP if is_customer else Outcome.CALL_OVER,
        code=code,
        message=message,
    )
    withdrawn = tuple(Withdraw(a.party) for a in transfer.attempts if a.answered)
    told = Tell(TransferNotice.ENDED, over.human, over.outcome, over.code, over.message)
    return over, (*withdrawn, told, *refused)
