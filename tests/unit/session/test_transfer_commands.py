"""The commands of a transfer, at every stage; and a transfer that a new program takes up."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from bridge.model.errors import ErrorCode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import HangupCause
from bridge.session.effects import Succeed
from bridge.session.inputs import Token
from bridge.session.transfer import Stage, Transfer, inputs, step
from bridge.session.transfer.effects import (
    Drop,
    EndCall,
    Offer,
    Outcome,
    Place,
    Placement,
    Ring,
    Tell,
    TransferNotice,
    Withdraw,
)
from bridge.session.transfer.inputs import Plan, TransferCommand
from tests.unit.session.sessions import refusals
from tests.unit.session.transfers import (
    ALONE,
    BOTH,
    BUSY,
    GROUP,
    GUEST,
    HELD_ALL,
    HUMAN,
    HUMAN2,
    IN_TURN,
    NOBODY,
    ONE,
    TWO,
    WARM,
    after,
    aside,
    begin,
    brought_back,
    completing,
    consulting,
    feed,
    joining,
    offered,
    ringing,
    stands,
    together,
)

STAGES = [begin(), ringing(), offered(), joining(), consulting(), aside(), together()]
THREE = Token(3)


# --- beginning ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "customers", "plan", "says"),
    [
        (AGENT, {GUEST}, WARM, "guest cannot be transferred; there are: callee, caller"),
        (AGENT, set(), WARM, "nobody cannot"),
        (CALLER, {CALLER}, WARM, "transfer himself"),
        (AGENT, {CALLER}, Plan(()), "at least one target"),
        (AGENT, {CALLER}, Plan((*WARM.rounds, ())), "at least one target"),
    ],
)
def test_what_cannot_be_begun_is_refused(
    by: Participant, customers: set[Participant], plan: Plan, says: str
) -> None:
    transfer = Transfer()
    now, effects = feed(transfer, inputs.Begin(ONE, by, frozenset(customers), plan, BOTH))
    assert now == transfer
    assert refusals(effects) == [(ONE, ErrorCode.BAD_ARGUMENT)]
    assert says in str(effects)


@pytest.mark.parametrize("before", [*STAGES, completing()], ids=lambda t: t.stage.value)
def test_a_second_transfer_is_refused_and_changes_nothing(before: Transfer) -> None:
    now, effects = feed(before, inputs.Begin(THREE, AGENT, ALONE, WARM, ALONE))
    assert now == before
    assert refusals(effects) == [(THREE, ErrorCode.COMMAND_IN_PROGRESS)]


def test_humans_get_names_that_nobody_has() -> None:
    taken = frozenset({HUMAN})
    parties = frozenset({CALLER, HUMAN2})
    begun = inputs.Begin(ONE, AGENT, ALONE, GROUP, parties, taken=taken)
    now = step(Transfer(), begun)[0]
    assert now.names == (("human3", "human4"),)
    assert now.colleagues == {HUMAN2}


def test_a_target_is_called_as_it_is_wished() -> None:
    (target,) = WARM.rounds[0]
    wished = Plan(((replace(target, name="Anna Berg"), replace(target, name="Anna Berg")),))
    assert begin(wished).names == (("anna_berg", "anna_berg2"),)


# --- cancelling ---------------------------------------------------------------------------------


@pytest.mark.parametrize("before", STAGES, ids=lambda t: t.stage.value)
def test_it_is_cancelled_and_the_customers_are_back(before: Transfer) -> None:
    now, effects = feed(before, inputs.Cancel(THREE))
    assert {e.party for e in effects if isinstance(e, Drop)} == {a.party for a in before.attempts}
    assert refusals(effects) == [(token, ErrorCode.INVALID_STATE) for token in before.waiting]
    if before.stage in {Stage.JOINING, Stage.CONSULTING}:
        # He hears nothing of what the customers say when they are back.
        assert now.wanted == Placement(ALONE, NOBODY, frozenset({HUMAN}), kept=True)
        now = step(now, stands(now))[0]
    over, effects = brought_back(now)
    assert over.outcome is Outcome.CANCELLED
    assert effects[-1] == Succeed(THREE)


def test_it_is_too_late_to_cancel_what_is_being_completed() -> None:
    now, effects = feed(completing(), inputs.Cancel(THREE))
    assert now.stage is Stage.COMPLETING
    assert refusals(effects) == [(THREE, ErrorCode.COMMAND_IN_PROGRESS)]


def test_cancelling_is_refused_where_the_caller_would_be_alone() -> None:
    left, _ = feed(ringing(WARM, CALLEE, agent=False), inputs.PartyLeft(CALLEE))
    now, effects = feed(left, inputs.Cancel(TWO))
    assert now == left
    assert refusals(effects) == [(TWO, ErrorCode.INVALID_STATE)]
    # Somebody who is added meanwhile is company.
    now, effects = feed(left, inputs.PartyJoined(GUEST), inputs.Cancel(TWO))
    assert now.stage is Stage.RETURNING


def test_what_is_over_is_cancelled_or_completed_already() -> None:
    failed, _ = brought_back(step(ringing(), BUSY)[0])
    assert step(failed, inputs.Cancel(TWO))[1] == (Succeed(TWO),)
    assert refusals(list(step(failed, inputs.Complete(TWO))[1])) == [(TWO, ErrorCode.INVALID_STATE)]
    done = after(consulting(), inputs.Complete(ONE))
    assert step(done, inputs.Complete(TWO))[1] == (Succeed(TWO),)
    assert refusals(list(step(done, inputs.Cancel(TWO))[1])) == [(TWO, ErrorCode.INVALID_STATE)]


# --- completing ---------------------------------------------------------------------------------


def test_who_completes_while_it_rings_leaves_now() -> None:
    now, effects = feed(ringing(WARM, CALLEE), inputs.Complete(TWO))
    wanted = replace(HELD_ALL, leaving=frozenset({CALLEE}))
    assert effects == [Place(2, wanted), Tell(TransferNotice.UNATTENDED, CALLEE)]
    now, effects = feed(now, inputs.Placed(2))
    assert effects == [Succeed(TWO)]
    assert step(now, inputs.PartyLeft(CALLEE))[1] == ()


def test_the_agent_who_completes_while_it_rings_stays_until_somebody_accepts() -> None:
    now, effects = feed(ringing(), inputs.Complete(TWO))
    assert effects == [Tell(TransferNotice.UNATTENDED, AGENT), Succeed(TWO)]
    now, _ = feed(now, inputs.LegAnswered(HUMAN), inputs.Accepted(HUMAN))
    assert now.stage is Stage.COMPLETING


def test_a_turn_that_is_under_way_gives_way_to_completing() -> None:
    turning = step(consulting(), inputs.Toggle(ONE))[0]
    now, effects = feed(turning, inputs.Complete(TWO))
    assert refusals(effects) == [(ONE, ErrorCode.INVALID_STATE)]
    assert step(now, inputs.Placed(turning.number)) == (now, ())
    assert Succeed(TWO) in step(now, stands(now))[1]


@pytest.mark.parametrize("command", [inputs.Toggle(TWO), inputs.Conference(TWO)])
def test_with_nobody_to_talk_to_there_is_no_talk(command: TransferCommand) -> None:
    for before in (begin(), ringing(), offered()):
        now, effects = feed(before, command)
        assert now == before
        assert refusals(effects) == [(TWO, ErrorCode.INVALID_STATE)]


@pytest.mark.parametrize("command", [inputs.Toggle(TWO), inputs.Conference(TWO)])
def test_one_turn_at_a_time(command: TransferCommand) -> None:
    turning = step(consulting(), inputs.Toggle(ONE))[0]
    now, effects = feed(turning, command)
    assert now == turning
    assert refusals(effects) == [(TWO, ErrorCode.COMMAND_IN_PROGRESS)]


# --- a new program takes it up ------------------------------------------------------------------


def read(transfer: Transfer) -> Transfer:
    """Return it as it is known to the next program."""
    return msgspec.json.decode(msgspec.json.encode(transfer.remembered()), type=Transfer)


@pytest.mark.parametrize(
    "before",
    [Transfer(), begin(IN_TURN, CALLEE), *STAGES, completing()],
    ids=lambda transfer: transfer.stage.value,
)
def test_it_can_be_written_down_and_read(before: Transfer) -> None:
    assert read(before) == replace(before, waiting=())


@pytest.mark.parametrize("before", [*STAGES, completing()], ids=lambda t: t.stage.value)
def test_everybody_is_placed_anew_and_nobody_is_answered(before: Transfer) -> None:
    there = {CALLER, *({HUMAN} if before.human else set())}
    there |= {attempt.party for attempt in before.attempts if attempt.answered}
    rings = frozenset(a.party for a in before.attempts if not a.answered)
    event = inputs.Resumed(frozenset(there), rings, agent=True)
    now, effects = feed(read(before), event)
    assert (now.stage, now.waiting) == (before.stage, ())
    again = Place(before.number + 1, before.wanted)
    offers = [Offer(a.party) for a in before.attempts if a.answered]
    assert effects == [again, *offers]


def test_one_who_picked_up_meanwhile_is_asked() -> None:
    event = inputs.Resumed(frozenset({CALLER, HUMAN}), NOBODY, agent=True)
    now, effects = feed(read(ringing()), event)
    assert effects[1:] == [Tell(TransferNotice.ANSWERED, HUMAN), Offer(HUMAN)]
    assert now.attempts[0].answered


def test_one_who_is_not_there_any_more_has_failed() -> None:
    event = inputs.Resumed(ALONE, NOBODY, agent=True)
    now, effects = feed(read(ringing(IN_TURN)), event)
    assert [e.party for e in effects if isinstance(e, Ring)] == [HUMAN2]
    now, effects = feed(read(offered()), event)
    assert Withdraw(HUMAN) in effects
    assert now.stage is Stage.RETURNING
    assert step(read(consulting()), event)[0].outcome is Outcome.HUMAN_LEFT


def test_who_was_given_up_and_is_there_yet_is_let_go() -> None:
    both, _ = feed(ringing(GROUP), inputs.LegAnswered(HUMAN), inputs.LegAnswered(HUMAN2))
    chosen = step(both, inputs.Accepted(HUMAN))[0]
    event = inputs.Resumed(frozenset({CALLER, HUMAN, HUMAN2}), NOBODY, agent=True)
    assert step(read(chosen), event)[1][1:] == (Drop(HUMAN2, HangupCause.NORMAL),)


def test_who_transferred_hung_up_meanwhile() -> None:
    event = inputs.Resumed(frozenset({CALLER, HUMAN}), NOBODY, agent=True)
    now, _ = step(read(consulting(CALLEE)), event)
    assert (now.stage, now.wanted) == (Stage.COMPLETING, Placement())


def test_the_customer_hung_up_meanwhile() -> None:
    event = inputs.Resumed(frozenset({CALLEE, HUMAN}), NOBODY, agent=False)
    over, effects = feed(read(consulting(CALLEE)), event)
    assert over.outcome is Outcome.CALLER_HUNG_UP
    assert EndCall() in effects


def test_an_agent_who_does_not_come_again_has_left() -> None:
    event = inputs.Resumed(frozenset({CALLER, HUMAN}), NOBODY, agent=False)
    assert step(read(consulting()), event)[0].stage is Stage.COMPLETING


def test_the_end_of_a_call_that_was_not_carried_out_is_asked_for_again() -> None:
    over = step(consulting(CALLEE), inputs.PartyLeft(CALLER))[0]
    event = inputs.Resumed(frozenset({CALLEE, HUMAN}), NOBODY, agent=False)
    assert step(read(over), event)[1] == (EndCall(),)


def test_after_a_break_those_who_wait_are_answered_yet() -> None:
    turning = step(consulting(), inputs.Toggle(TWO))[0]
    there = frozenset({CALLER, HUMAN})
    now, _ = step(turning, inputs.Resumed(there, NOBODY, agent=True, restarted=False))
    assert Succeed(TWO) in step(now, stands(now))[1]
