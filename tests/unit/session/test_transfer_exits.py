"""Every way in which a transfer may end: the outcome, who is where, who is let go, who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge.model.errors import ErrorCode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import EndReason, HangupCause
from bridge.session.effects import Refuse, Succeed
from bridge.session.transfer import Stage, Transfer, inputs, step
from bridge.session.transfer.effects import (
    Drop,
    EndCall,
    Leave,
    Offer,
    Outcome,
    Place,
    Placement,
    Ring,
    Tell,
    TransferNotice,
    Withdraw,
)
from bridge.session.transfer.inputs import Plan
from bridge.session.transfer.placement import placement
from bridge.session.transfer.state import TRIES
from tests.unit.session.sessions import refusals
from tests.unit.session.transfers import (
    ALONE,
    BUSY,
    FIRST,
    GROUP,
    GUEST,
    HELD_ALL,
    HUMAN,
    HUMAN2,
    IN_TURN,
    NOBODY,
    ONE,
    SECOND,
    TWO,
    WARM,
    aside,
    begin,
    brought_back,
    completing,
    consulting,
    ending,
    fails,
    feed,
    joining,
    offered,
    placed,
    ringing,
    stands,
    together,
)

# --- the way that it is meant to go -------------------------------------------------------------


def test_the_customers_are_on_hold_before_anybody_is_rung() -> None:
    holding, effects = feed(
        Transfer(), inputs.Begin(ONE, AGENT, ALONE, WARM, ALONE, taken=frozenset({HUMAN2}))
    )
    assert effects == [Place(1, HELD_ALL)]
    now, effects = feed(holding, inputs.Placed(1))
    assert now.stage is Stage.RINGING
    assert effects == [
        Tell(TransferNotice.STARTED),
        Ring(HUMAN, FIRST, apart=True),
        Tell(TransferNotice.RINGING, HUMAN),
        Succeed(ONE),
    ]


def test_who_answers_is_apart_until_he_has_accepted() -> None:
    now, effects = feed(ringing(), inputs.LegAnswered(HUMAN))
    assert effects == [Tell(TransferNotice.ANSWERED, HUMAN), Offer(HUMAN)]
    assert placement(now) == HELD_ALL
    now, effects = feed(now, inputs.Accepted(HUMAN))
    assert now.stage is Stage.JOINING
    assert effects == [
        Place(2, Placement(held=ALONE, kept=True)),
        Withdraw(HUMAN),
        Tell(TransferNotice.ACCEPTED, HUMAN),
    ]
    assert step(now, inputs.Placed(2))[0].stage is Stage.CONSULTING


def test_the_agent_leaves_when_the_human_has_the_caller() -> None:
    now, effects = feed(consulting(), inputs.Complete(TWO))
    assert effects == [Place(3, Placement())]
    over, effects = feed(now, inputs.Placed(3))
    assert over.outcome is Outcome.COMPLETED
    assert effects == [
        Tell(TransferNotice.ENDED, HUMAN, Outcome.COMPLETED),
        Leave(),
        Succeed(TWO),
    ]


def test_a_party_who_transfers_is_let_go_with_it() -> None:
    now, effects = feed(consulting(CALLEE), inputs.Complete(TWO))
    assert placed(effects) == [Placement(leaving=frozenset({CALLEE}))]
    over, effects = feed(now, stands(now))
    assert Leave() not in effects
    assert over.outcome is Outcome.COMPLETED


def test_without_a_consult_the_customers_have_him_in_one_step() -> None:
    now, effects = feed(offered(replace(WARM, consult=False)), inputs.Accepted(HUMAN))
    assert now.stage is Stage.COMPLETING
    assert placed(effects) == [Placement()]


def test_without_an_offer_he_has_accepted_by_answering_and_is_never_apart() -> None:
    plan = replace(WARM, offer=False)
    before = begin(plan)
    assert before.wanted == Placement(held=ALONE, kept=True)
    now, effects = feed(before, inputs.Placed(1), inputs.LegAnswered(HUMAN))
    assert Ring(HUMAN, FIRST, apart=False) in effects
    assert now.stage is Stage.JOINING
    assert not any(isinstance(effect, Offer | Withdraw) for effect in effects)


@pytest.mark.parametrize("plan", [GROUP, replace(WARM, hold_at_once=False)])
def test_without_an_offer_he_is_apart_where_others_might_hear_him(plan: Plan) -> None:
    plan = replace(plan, offer=False)
    assert begin(plan).wanted.apart
    _, effects = feed(begin(plan), inputs.Placed(1))
    assert all(effect.apart for effect in effects if isinstance(effect, Ring))


def test_the_customers_may_talk_on_until_somebody_has_accepted() -> None:
    plan = replace(WARM, hold_at_once=False)
    before = offered(plan)
    assert before.wanted.held == NOBODY
    assert step(before, inputs.Accepted(HUMAN))[0].wanted.held == ALONE


def test_the_talk_turns_aside_and_back_and_all_come_together() -> None:
    turning, effects = feed(consulting(), inputs.Toggle(TWO))
    assert placed(effects) == [Placement(held=frozenset({HUMAN}), kept=True)]
    now, effects = feed(turning, stands(turning))
    assert now.stage is Stage.ASIDE
    assert effects == [Tell(TransferNotice.CHANGED, HUMAN), Succeed(TWO)]
    back, effects = feed(now, inputs.Toggle(TWO))
    assert placed(effects) == [Placement(held=ALONE, kept=True)]
    now = step(back, stands(back))[0]
    assert now.stage is Stage.CONSULTING
    gathering, effects = feed(now, inputs.Conference(TWO))
    assert placed(effects) == [Placement(kept=True)]
    assert step(gathering, stands(gathering))[0].stage is Stage.TOGETHER


def test_staying_together_ends_it_and_nobody_leaves() -> None:
    now, effects = feed(consulting(CALLEE), inputs.Conference(TWO, for_good=True))
    assert placed(effects) == [Placement()]
    over, effects = feed(now, stands(now))
    assert over.outcome is Outcome.CONFERENCED
    assert Leave() not in effects


# --- nobody accepts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.CALL_BUSY,
        ErrorCode.CALL_DECLINED,
        ErrorCode.CALL_UNANSWERED,
        ErrorCode.CALL_UNREACHABLE,
        ErrorCode.CALL_FAILED,
    ],
)
def test_he_cannot_be_had(code: ErrorCode) -> None:
    now, effects = feed(ringing(), inputs.LegFailed(HUMAN, code, "why"))
    assert Tell(TransferNotice.NOT_ACCEPTED, HUMAN, None, code, "why") in effects
    over, effects = brought_back(now)
    assert effects == [Tell(TransferNotice.ENDED, None, Outcome.FAILED, code, "why")]
    assert over.stage is Stage.OVER


@pytest.mark.parametrize("message", ["he pressed 2", "he did not accept in 15 s", "a machine"])
def test_he_does_not_take_it(message: str) -> None:
    declined = inputs.Declined(HUMAN, ErrorCode.CALL_DECLINED, message)
    now, effects = feed(offered(), declined)
    assert Withdraw(HUMAN) in effects
    assert Drop(HUMAN, HangupCause.NORMAL) in effects
    _, effects = brought_back(now)
    told = ending(effects)
    assert told is not None
    assert (told.outcome, told.message) == (Outcome.FAILED, message)


def test_he_hangs_up_in_the_brief() -> None:
    now, effects = feed(offered(), inputs.PartyLeft(HUMAN, 16))
    assert Withdraw(HUMAN) in effects
    _, effects = brought_back(now)
    told = ending(effects)
    assert told is not None
    assert told.outcome is Outcome.FAILED
    assert told.code is ErrorCode.CALL_DECLINED


def test_the_next_one_is_rung_and_nothing_else_changes() -> None:
    now, effects = feed(ringing(IN_TURN), BUSY)
    assert effects == [
        Tell(TransferNotice.NOT_ACCEPTED, HUMAN, None, ErrorCode.CALL_BUSY, "busy"),
        Ring(HUMAN2, SECOND, apart=True),
        Tell(TransferNotice.RINGING, HUMAN2),
    ]
    assert now.stage is Stage.RINGING
    last = inputs.LegFailed(HUMAN2, ErrorCode.CALL_UNANSWERED, "no answer")
    assert step(now, last)[0].code is ErrorCode.CALL_UNANSWERED


def test_of_a_group_one_may_fail() -> None:
    now, effects = feed(ringing(GROUP), BUSY)
    assert effects == [Tell(TransferNotice.NOT_ACCEPTED, HUMAN, None, ErrorCode.CALL_BUSY, "busy")]
    assert [attempt.party for attempt in now.attempts] == [HUMAN2]


def test_of_a_group_the_first_to_accept_has_it_and_the_others_are_let_go() -> None:
    both, _ = feed(ringing(GROUP), inputs.LegAnswered(HUMAN), inputs.LegAnswered(HUMAN2))
    now, effects = feed(both, inputs.Accepted(HUMAN2))
    assert now.human == HUMAN2
    assert now.wanted == Placement(held=ALONE, apart=frozenset({HUMAN}), kept=True)
    assert [e for e in effects if isinstance(e, Withdraw | Drop)] == [
        Withdraw(HUMAN2),
        Withdraw(HUMAN),
        Drop(HUMAN, HangupCause.NORMAL),
    ]
    assert step(now, inputs.Accepted(HUMAN)) == (now, ())


@pytest.mark.parametrize(
    "answer",
    [inputs.Accepted(HUMAN), inputs.Declined(HUMAN, ErrorCode.CALL_DECLINED, "by key")],
)
def test_who_was_not_asked_has_no_say(answer: inputs.Accepted | inputs.Declined) -> None:
    assert step(before := ringing(), answer) == (before, ())


def test_one_who_picks_up_after_he_was_given_up_is_let_go() -> None:
    now, _ = feed(ringing(), inputs.Cancel(TWO))
    assert step(now, inputs.LegAnswered(HUMAN))[1] == (Drop(HUMAN, HangupCause.NORMAL),)
    assert step(consulting(), inputs.LegAnswered(HUMAN))[1] == ()


# --- somebody hangs up --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [begin(), ringing(), offered(), joining(), consulting(), aside(), together()],
    ids=lambda transfer: transfer.stage.value,
)
def test_the_caller_hangs_up(before: Transfer) -> None:
    over, effects = feed(before, inputs.PartyLeft(CALLER, 16))
    assert over.outcome is Outcome.CALLER_HUNG_UP
    assert EndCall() in effects
    assert placed(effects) == []
    dropped = {effect.party for effect in effects if isinstance(effect, Drop)}
    assert dropped == {attempt.party for attempt in before.attempts}
    refused = [effect for effect in effects if isinstance(effect, Refuse)]
    assert [effect.token for effect in refused] == list(before.waiting)
    assert all(effect.code is ErrorCode.CALLER_GONE for effect in refused)


def test_one_of_two_customers_hangs_up_and_the_other_is_transferred() -> None:
    parties = frozenset({CALLER, GUEST})
    holding, _ = feed(Transfer(), inputs.Begin(ONE, AGENT, parties, WARM, parties))
    now, effects = feed(holding, inputs.Placed(1), inputs.PartyLeft(CALLER))
    assert now.stage is Stage.RINGING
    assert now.wanted.held == {GUEST}
    assert placed(effects) == []
    assert step(now, inputs.PartyLeft(GUEST))[0].outcome is Outcome.CALLER_HUNG_UP


@pytest.mark.parametrize(
    "before",
    [joining(), consulting(), aside(), together(), completing()],
    ids=lambda transfer: transfer.stage.value,
)
def test_the_human_hangs_up_after_he_has_accepted(before: Transfer) -> None:
    now, effects = feed(before, inputs.PartyLeft(HUMAN, 16))
    assert {e.token for e in effects if isinstance(e, Refuse)} == set(before.waiting)
    _, effects = brought_back(now)
    told = ending(effects)
    assert told is not None
    assert told.outcome is Outcome.HUMAN_LEFT


@pytest.mark.parametrize("by", [AGENT, CALLEE])
def test_who_transfers_is_gone_while_it_rings_and_it_goes_on(by: Participant) -> None:
    now, effects = feed(ringing(WARM, by), inputs.PartyLeft(by))
    assert effects == [Tell(TransferNotice.UNATTENDED, by)]
    now, effects = feed(now, inputs.LegAnswered(HUMAN), inputs.Accepted(HUMAN))
    assert now.stage is Stage.COMPLETING
    over, effects = feed(now, stands(now))
    assert over.outcome is Outcome.COMPLETED
    assert Leave() not in effects


def test_who_talked_on_with_who_transfers_is_on_hold_when_he_is_gone() -> None:
    before = ringing(replace(WARM, hold_at_once=False), CALLEE)
    now, effects = feed(before, inputs.PartyLeft(CALLEE))
    assert [where.held for where in placed(effects)] == [ALONE]
    assert now.stage is Stage.RINGING


def test_nobody_accepts_and_who_transfers_is_gone_so_the_ai_has_the_caller() -> None:
    now, effects = feed(ringing(WARM, CALLEE), inputs.PartyLeft(CALLEE), BUSY)
    assert EndCall() not in effects
    over, effects = brought_back(now)
    assert over.outcome is Outcome.FAILED


def test_nobody_accepts_and_nobody_is_there_so_the_call_ends() -> None:
    over, effects = feed(ringing(WARM, CALLEE, agent=False), inputs.PartyLeft(CALLEE), BUSY)
    assert over.outcome is Outcome.FAILED
    assert EndCall() in effects


def test_nobody_accepts_and_two_customers_have_each_other() -> None:
    two = frozenset({CALLER, GUEST})
    begun = inputs.Begin(ONE, CALLEE, two, WARM, two | {CALLEE}, agent=False)
    before = feed(Transfer(), begun, inputs.Placed(1), inputs.PartyLeft(CALLEE))[0]
    now, effects = feed(before, BUSY)
    assert EndCall() not in effects
    over, _ = brought_back(now)
    assert over.outcome is Outcome.FAILED


def test_who_transfers_hangs_up_as_the_caller_comes_back_to_him() -> None:
    now, effects = feed(ringing(WARM, CALLEE, agent=False), BUSY, inputs.PartyLeft(CALLEE))
    assert now.stage is Stage.OVER
    assert effects[-1] == EndCall()
    now, effects = feed(ringing(WARM, CALLEE), BUSY, inputs.PartyLeft(CALLEE))
    assert now.stage is Stage.RETURNING
    assert EndCall() not in effects


@pytest.mark.parametrize("before", [joining, consulting, aside, together])
def test_who_transfers_hangs_up_in_the_consult_and_it_is_completed(
    before: Callable[[Participant], Transfer],
) -> None:
    now, effects = feed(before(CALLEE), inputs.PartyLeft(CALLEE))
    assert now.stage is Stage.COMPLETING
    assert placed(effects) == [Placement()]
    assert step(now, stands(now))[0].outcome is Outcome.COMPLETED


def test_a_blind_transfer_goes_on_without_who_transfers() -> None:
    blind = replace(WARM, blind=True, offer=False)
    now, _ = feed(begin(blind, CALLEE), inputs.Placed(1))
    assert now.stood.leaving == {CALLEE}
    assert now.stood.held == ALONE
    now, _ = feed(now, inputs.PartyLeft(CALLEE), inputs.LegAnswered(HUMAN))
    assert now.stage is Stage.COMPLETING
    assert now.wanted == Placement()


def test_who_begins_it_may_be_gone_already() -> None:
    # As a phone is that asks for it by REFER and hangs up.
    begun = inputs.Begin(ONE, CALLEE, ALONE, WARM, ALONE)
    holding, effects = feed(Transfer(), begun)
    assert placed(effects) == [HELD_ALL]
    assert not holding.attended


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (EndReason.CALLER_HUNG_UP, Outcome.CALLER_HUNG_UP),
        (EndReason.AGENT_ENDED, Outcome.CALL_OVER),
        (None, Outcome.CALL_OVER),
    ],
)
@pytest.mark.parametrize(
    "before",
    [begin(), ringing(), offered(), consulting(), completing()],
    ids=lambda t: t.stage.value,
)
def test_the_call_ends(before: Transfer, reason: EndReason | None, outcome: Outcome) -> None:
    over, effects = feed(before, inputs.CallOver(reason))
    told = ending(effects)
    assert told is not None
    assert over.outcome is told.outcome is outcome
    assert [token for token, _ in refusals(effects)] == list(before.waiting)
    answered = {attempt.party for attempt in before.attempts if attempt.answered}
    assert {e.party for e in effects if isinstance(e, Withdraw)} == answered
    assert not any(isinstance(effect, Place | EndCall) for effect in effects)


# --- Asterisk refuses ---------------------------------------------------------------------------


def test_the_customers_cannot_be_held_and_nothing_has_changed() -> None:
    over, effects = feed(before := begin(), fails(before))
    assert over.outcome is Outcome.FAILED
    assert refusals(effects) == [(ONE, ErrorCode.REQUEST_FAILED)]
    assert not any(isinstance(effect, Place | EndCall | Ring) for effect in effects)


def test_he_cannot_be_joined_and_is_let_go_before_the_customers_are_back() -> None:
    now, effects = feed(before := joining(), fails(before))
    assert now.stage is Stage.RELEASING
    assert placed(effects) == [Placement(ALONE, NOBODY, frozenset({HUMAN}), kept=True)]
    over, _ = brought_back(step(now, stands(now))[0])
    assert (over.outcome, over.code) == (Outcome.FAILED, ErrorCode.REQUEST_FAILED)


def test_it_cannot_be_completed_and_the_customers_are_back() -> None:
    now, effects = feed(before := completing(), fails(before))
    assert refusals(effects) == [(TWO, ErrorCode.REQUEST_FAILED)]
    over, effects = brought_back(now)
    assert over.outcome is Outcome.FAILED
    assert Leave() not in effects


@pytest.mark.parametrize("before", [consulting(), aside()], ids=lambda t: t.stage.value)
def test_a_turn_that_cannot_be_made_leaves_everybody_where_he_was(before: Transfer) -> None:
    turning = step(before, inputs.Toggle(ONE))[0]
    now, effects = feed(turning, fails(turning))
    assert effects == [Refuse(ONE, ErrorCode.REQUEST_FAILED, "refused")]
    assert (now.stage, now.wanted) == (before.stage, before.wanted)


def test_a_turn_of_which_nobody_knows_what_came_is_turned_back() -> None:
    turning = step(consulting(), inputs.Toggle(ONE))[0]
    there = frozenset({CALLER, HUMAN})
    resumed = step(turning, inputs.Resumed(there, NOBODY, agent=True))[0]
    now, effects = feed(resumed, fails(resumed))
    assert now.stage is Stage.CONSULTING
    assert placed(effects) == [Placement(held=ALONE, kept=True)]
    for _ in range(TRIES):
        now, effects = feed(now, fails(now))
    assert now.stage is Stage.RELEASING
    assert now.outcome is Outcome.FAILED


def test_customers_who_cannot_be_brought_back_are_not_left_on_hold() -> None:
    now = step(ringing(), BUSY)[0]
    for again in range(1, TRIES):
        now, effects = feed(now, fails(now))
        assert effects == [Place(2 + again, now.wanted, again)]
    over, effects = feed(now, fails(now))
    assert over.stage is Stage.OVER
    assert EndCall() in effects
    assert (over.outcome, over.code) == (Outcome.FAILED, ErrorCode.REQUEST_FAILED)


def test_who_transfers_waits_after_all_when_he_cannot_be_let_go() -> None:
    before = ringing(WARM, CALLEE)
    now, _ = feed(before, inputs.Complete(TWO))
    assert now.wanted.leaving == {CALLEE}
    now, effects = feed(now, fails(now))
    assert refusals(effects) == [(TWO, ErrorCode.REQUEST_FAILED)]
    assert now.attended
    assert now.wanted == before.wanted
