"""Parties held, apart, let go; and calls that somebody looks after: what follows from what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import CallState, EndReason, HangupCause
from bridge.session import Phase, Session, inputs
from bridge.session.effects import (
    Announce,
    Bond,
    Converge,
    Dial,
    HangUp,
    Notice,
    SetRoute,
    Succeed,
    TearDown,
    Tie,
    TurnVoice,
)
from bridge.session.inputs import Input
from bridge.session.state import ALONE, BOTH, Standing
from tests.unit.session.sessions import (
    ANSWERED,
    CONNECTED,
    FAILS,
    FRIEND,
    HUMAN,
    NOBODY,
    ONE,
    STANDS,
    THREE,
    TWO,
    arrange,
    feed,
    gone,
    refusals,
    standing,
    told,
    wanted,
)

THE_CALLER, THE_HUMAN = frozenset({CALLER}), frozenset({HUMAN})

OFFERED = standing(replace(ANSWERED, parties=ALONE | THE_HUMAN), THE_CALLER, THE_HUMAN)
"""The caller on hold, a human who is offered the call."""
CONSULTING = standing(
    replace(ANSWERED, phase=Phase.CONNECTED, parties=ALONE | THE_HUMAN, heard_by=ALONE | THE_HUMAN),
    THE_CALLER,
    NOBODY,
)
OF_CALLEE = standing(
    replace(CONNECTED, parties=BOTH | THE_HUMAN, heard_by=NOBODY, mode=SPY), THE_CALLER, NOBODY
)
"""The callee consults a human; the agent listens."""


def add(*, apart: bool = True) -> inputs.AddParty:
    return inputs.AddParty(TWO, HUMAN, "PJSIP/1003", 30, apart)


# --- apart --------------------------------------------------------------------------------------


def test_who_is_added_apart_joins_and_the_caller_is_alone_as_before() -> None:
    session, effects = feed(ANSWERED, add(), inputs.PartyAnswered(HUMAN), STANDS)
    assert session.phase is Phase.ANSWERED
    assert session.apart == THE_HUMAN
    assert session.heard_by == ALONE
    assert told(effects) == [(Notice.PARTY_JOINED, HUMAN)]
    assert Succeed(TWO) in effects
    assert not any(isinstance(e, SetRoute) for e in effects)


def test_a_party_who_is_apart_does_not_count() -> None:
    three = standing(replace(CONNECTED, parties=BOTH | THE_HUMAN), NOBODY, THE_HUMAN)
    unkept = replace(three, standing=Standing(apart=THE_HUMAN), stood=Standing(apart=THE_HUMAN))
    session, effects = feed(unkept, gone(CALLEE))
    assert session.phase is Phase.ENDING
    assert TearDown(HangupCause.NORMAL) in effects
    session, _ = feed(unkept, gone(HUMAN))
    assert session.parties == BOTH
    assert unkept.bond.counted == unkept.bond.armed | unkept.bond.spared == BOTH


def test_who_is_apart_is_let_go_with_an_agent_who_leaves() -> None:
    three = replace(CONNECTED, parties=BOTH | THE_HUMAN)
    three = replace(three, standing=Standing(apart=THE_HUMAN), stood=Standing(apart=THE_HUMAN))
    session, effects = feed(three, inputs.Close(ONE), inputs.VoiceFinished(), STANDS)
    assert session.phase is Phase.DETACHED
    assert session.parties == BOTH
    assert HangUp(HUMAN, HangupCause.NORMAL) in effects
    assert (Notice.PARTY_LEFT, HUMAN) in told(effects)


def test_alone_with_a_caller_and_one_apart_the_agent_ends_the_call() -> None:
    apart = replace(OFFERED, standing=Standing(apart=THE_HUMAN), stood=Standing(apart=THE_HUMAN))
    session, _ = feed(apart, inputs.Close(ONE), inputs.VoiceFinished())
    assert session.phase is Phase.ENDING


@pytest.mark.parametrize("stands", [False, True])
def test_nor_is_the_callee_left_alone_when_the_caller_was_put_apart(*, stands: bool) -> None:
    leaving: list[Input] = [inputs.Close(ONE), arrange(apart=THE_CALLER, kept=False, token=TWO)]
    between: list[Input] = [STANDS] if stands else []
    session, effects = feed(CONNECTED, *leaving, *between, inputs.VoiceFinished())
    assert session.phase is Phase.ENDING
    assert TearDown(HangupCause.NORMAL) in effects


def test_the_agent_may_whisper_to_one_who_is_apart_and_to_nobody_when_there_is_none() -> None:
    session, effects = feed(OFFERED, inputs.ChangeMode(ONE, whisper(HUMAN)))
    assert any(isinstance(e, TurnVoice) for e in effects)
    session, effects = feed(session, inputs.VoiceReached(ONE), inputs.VoiceSettled(ONE), STANDS)
    assert session.heard_by == THE_HUMAN
    assert (HUMAN, AGENT) in session.audience.matrix
    assert (AGENT, HUMAN) in session.audience.matrix
    session, effects = feed(session, gone(HUMAN), arrange(kept=False, token=TWO), STANDS)
    assert session == ANSWERED
    assert (Notice.MODE_CHANGED, None) in told(effects)
    assert refusals(feed(ANSWERED, inputs.ChangeMode(ONE, SPY))[1]) == [
        (ONE, ErrorCode.INVALID_STATE)
    ]


def test_who_barges_is_not_heard_by_one_who_is_apart() -> None:
    session, effects = feed(OFFERED, inputs.ChangeMode(ONE, BARGE))
    assert [e.parties & {HUMAN} for e in effects if isinstance(e, TurnVoice)] == [NOBODY]
    session, _ = feed(session, inputs.VoiceReached(ONE), inputs.VoiceSettled(ONE), STANDS)
    assert session.heard_by == ALONE


def test_who_is_apart_is_not_put_on_hold_nor_replaced() -> None:
    _, effects = feed(OFFERED, inputs.HoldParty(ONE, HUMAN, on=True))
    assert refusals(effects) == [(ONE, ErrorCode.INVALID_STATE)]
    _, effects = feed(OFFERED, inputs.TakeOver(ONE, Participant("boss"), HUMAN))
    assert refusals(effects) == [(ONE, ErrorCode.BAD_ARGUMENT)]


@pytest.mark.parametrize(
    "event",
    [
        inputs.HoldParty(ONE, CALLER, on=False),
        inputs.HoldParty(ONE, HUMAN, on=True),
        inputs.Arrange(ONE, unless_kept=True),
    ],
)
def test_who_looks_after_the_call_alone_says_who_is_held(event: Input) -> None:
    session, effects = feed(CONSULTING, event)
    assert session == CONSULTING
    assert refusals(effects) == [(ONE, ErrorCode.COMMAND_IN_PROGRESS)]


def test_who_is_left_while_nobody_looked_after_the_call_any_more_is_not_left_in_silence() -> None:
    kept, given_up = arrange(), arrange(kept=False, token=TWO)
    session, effects = feed(CONNECTED, kept, gone(CALLER), given_up, FAILS)
    assert refusals(effects) == [
        (ONE, ErrorCode.REQUEST_FAILED),
        (TWO, ErrorCode.REQUEST_FAILED),
    ]
    assert session.phase is Phase.ANSWERED
    assert session.heard_by == session.parties == {CALLEE}


def test_nobody_does_when_it_is_over() -> None:
    held = inputs.Arrange(ONE, held=THE_CALLER, unless_kept=True)
    session, effects = feed(CONNECTED, held, STANDS)
    assert session.standing == Standing(held=THE_CALLER)
    assert Succeed(ONE) in effects


@pytest.mark.parametrize("session", [OFFERED, standing(ANSWERED, NOBODY, NOBODY)])
def test_nobody_is_connected_meanwhile(session: Session) -> None:
    _, effects = feed(session, inputs.Connect(ONE, "PJSIP/1002", 60))
    assert refusals(effects) == [(ONE, ErrorCode.COMMAND_IN_PROGRESS)]


def test_headers_go_with_the_leg_and_a_line_break_does_not() -> None:
    good = replace(add(), headers=(("X-Summary", "wants his money back"),))
    _, effects = feed(ANSWERED, good)
    assert effects == [Dial("PJSIP/1003", 30, HUMAN, good.headers)]
    bad = replace(add(), headers=(("X-Summary", "a\r\nFrom: me"),))
    assert refusals(feed(ANSWERED, bad)[1]) == [(TWO, ErrorCode.BAD_ARGUMENT)]


# --- arrangements -------------------------------------------------------------------------------


def test_one_change_and_everybody_whose_place_is_another_is_told_of() -> None:
    session, effects = feed(OFFERED, arrange())
    assert wanted(effects) == [Converge(session.audience)]
    assert session.audience.talking == ALONE | THE_HUMAN
    assert Succeed(ONE) not in effects
    session, effects = feed(session, STANDS)
    assert told(effects) == [
        (Notice.CONNECTED, None),
        (Notice.PARTY_CHANGED, CALLER),
        (Notice.PARTY_CHANGED, HUMAN),
    ]
    assert session.heard_by == ALONE | THE_HUMAN
    assert SetRoute(BARGE.route(session.parties)) in effects
    assert Succeed(ONE) in effects
    assert wanted(effects) == []


def test_what_is_so_already_is_done() -> None:
    session, effects = feed(OFFERED, arrange(THE_CALLER, THE_HUMAN | {FRIEND}))
    assert (session, effects) == (OFFERED, [Succeed(ONE)])


def test_nobody_is_in_two_places() -> None:
    session, effects = feed(OFFERED, arrange(THE_CALLER, THE_CALLER))
    assert session == OFFERED
    assert refusals(effects) == [(ONE, ErrorCode.BAD_ARGUMENT)]


def test_whoever_fails_to_be_arranged_stays_where_he_was() -> None:
    session, effects = feed(OFFERED, arrange(leaving=THE_HUMAN, kept=False), FAILS)
    assert refusals(effects) == [(ONE, ErrorCode.REQUEST_FAILED)]
    assert session.standing == session.stood == OFFERED.standing
    assert session.parties == OFFERED.parties
    assert not any(isinstance(e, HangUp) for e in effects)
    assert wanted(effects)[-1].audience.held == THE_CALLER


def test_what_fails_leaves_no_gate_open_to_one_who_is_apart_again() -> None:
    join = inputs.JoinParty(TWO, FRIEND)
    _, effects = feed(OFFERED, arrange(), join, FAILS)
    for converge in wanted(effects)[-2:]:
        assert (HUMAN, AGENT) not in converge.audience.matrix
    assert HangUp(FRIEND, HangupCause.TEMPORARY_FAILURE) in effects


def test_who_leaves_is_heard_by_nobody_keeps_his_place_and_is_let_go_then() -> None:
    session, effects = feed(OFFERED, arrange(leaving=THE_HUMAN))
    assert session.audience.apart == session.audience.muted == THE_HUMAN
    assert session.audience.held == NOBODY
    session, effects = feed(session, STANDS)
    assert session.parties == ALONE
    left = Announce(Notice.PARTY_LEFT, party=HUMAN, cause=HangupCause.NORMAL)
    order = [effects.index(e) for e in (HangUp(HUMAN, HangupCause.NORMAL), left, Succeed(ONE))]
    assert order == sorted(order)
    assert wanted(effects) == [Converge(session.audience)]


def test_whoever_is_joining_just_now_stays_where_he_is_put() -> None:
    coming, _ = feed(ANSWERED, add(), inputs.PartyAnswered(HUMAN))
    session, effects = feed(coming, arrange(THE_CALLER), STANDS)
    assert session.apart == THE_HUMAN
    assert session.standing.held == THE_CALLER
    assert {e.token for e in effects if isinstance(e, Succeed)} == {ONE, TWO}


def test_two_arrangements_under_way_stand_together() -> None:
    session, effects = feed(
        OFFERED, arrange(), arrange(THE_CALLER, leaving=THE_HUMAN, token=TWO), STANDS
    )
    assert session.parties == session.standing.held == ALONE
    assert {e.token for e in effects if isinstance(e, Succeed)} == {ONE, TWO}


# --- kept ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [CALLER, CALLEE, HUMAN])
def test_nobodys_end_is_that_of_a_call_that_is_looked_after(first: Participant) -> None:
    session = OF_CALLEE
    assert session.bond == Bond()
    for party in [first, *sorted(OF_CALLEE.parties - {first})][:2]:
        session, effects = feed(session, gone(party))
        assert session.phase is Phase.CONNECTED
        assert Announce(Notice.PARTY_LEFT, party=party, cause=HangupCause.BUSY) in effects
    (last,) = session.parties
    session, effects = feed(session, gone(last))
    assert session.phase is Phase.ENDING


def test_the_legs_are_tied_when_it_is_looked_after_no_more_and_not_before() -> None:
    session, effects = feed(OF_CALLEE, arrange(leaving=frozenset({CALLEE}), kept=False))
    assert not any(isinstance(e, Tie) for e in effects)
    session, effects = feed(session, STANDS)
    assert effects[0] == Tie(session.bond)
    assert session.bond.counted == ALONE | THE_HUMAN


def test_when_too_few_are_left_the_agent_gets_the_caller() -> None:
    alone, _ = feed(OF_CALLEE, gone(CALLEE), gone(HUMAN))
    assert alone.phase is Phase.CONNECTED
    session, effects = feed(alone, arrange(kept=False), STANDS)
    assert session == ANSWERED
    assert SetRoute(BARGE.route(ALONE)) in effects
    # Who speaks as soon as it is done is heard.
    assert effects[-2:] == [Converge(ANSWERED.audience), Succeed(ONE)]


def test_or_the_call_ends_when_the_agent_has_left() -> None:
    left = replace(OF_CALLEE, phase=Phase.DETACHED)
    session, effects = feed(left, gone(CALLEE), gone(HUMAN), arrange(kept=False), STANDS)
    assert session.phase is Phase.ENDING
    assert session.reason is EndReason.NOBODY_LEFT
    assert Succeed(ONE) in effects


def test_one_who_is_to_look_after_it_and_cannot_leaves_nobody_alone() -> None:
    detached = Session(phase=Phase.DETACHED, parties=BOTH)
    session, effects = feed(detached, arrange(THE_CALLER), gone(CALLEE))
    assert session.phase is Phase.DETACHED
    session, effects = feed(session, FAILS)
    assert session.phase is Phase.ENDING
    assert refusals(effects) == [(ONE, ErrorCode.REQUEST_FAILED)]


def test_the_agent_leaves_and_all_stay_where_they_are() -> None:
    session, effects = feed(OFFERED, inputs.Close(ONE), inputs.VoiceFinished(), STANDS)
    assert session.phase is Phase.DETACHED
    assert session.parties == OFFERED.parties
    assert session.standing == session.stood == OFFERED.standing
    assert not any(isinstance(e, HangUp | TearDown) for e in effects)
    session, effects = feed(session, arrange(kept=False, token=TWO), STANDS)
    assert session.audience.matrix == {(CALLER, HUMAN), (HUMAN, CALLER)}


def test_what_the_agent_muted_is_heard_again_when_he_leaves() -> None:
    muted = replace(OFFERED.standing, muted=THE_CALLER)
    session, _ = feed(
        replace(OFFERED, standing=muted, stood=muted), inputs.Close(ONE), inputs.VoiceFinished()
    )
    assert session.standing == OFFERED.standing


def test_who_rings_goes_on_ringing_when_the_agent_leaves() -> None:
    ringing, _ = feed(standing(ANSWERED, THE_CALLER, NOBODY), add())
    session, effects = feed(ringing, inputs.Close(ONE), inputs.VoiceFinished(), STANDS)
    assert refusals(effects) == []
    session, effects = feed(session, inputs.PartyAnswered(HUMAN), STANDS)
    assert session.parties == ALONE | THE_HUMAN
    assert Succeed(TWO) in effects


def test_disconnect_ends_it_all_the_same() -> None:
    session, _ = feed(OFFERED, inputs.Disconnect(ONE), inputs.VoiceFinished())
    assert session.phase is Phase.ENDING


@pytest.mark.parametrize("phase", [Phase.FINISHING, Phase.LEAVING, Phase.DETACHED])
def test_without_the_agent_who_looks_after_it_brings_and_lets_go(phase: Phase) -> None:
    kept = replace(OFFERED, phase=phase)
    other = inputs.AddParty(TWO, FRIEND, "PJSIP/1004", 30)
    assert any(isinstance(e, Dial) for e in feed(kept, other)[1])
    assert Succeed(THREE) in feed(kept, inputs.RemoveParty(THREE, HUMAN))[1]
    unkept = replace(kept, standing=Standing(), stood=Standing())
    for command in (other, inputs.RemoveParty(TWO, HUMAN)):
        assert refusals(feed(unkept, command)[1]) == [(TWO, ErrorCode.CALL_CLOSED)]


def test_what_fails_as_the_agent_leaves_is_undone_and_he_leaves() -> None:
    leaving = replace(OFFERED, phase=Phase.LEAVING, heard_by=NOBODY)
    session, effects = feed(leaving, arrange(), FAILS)
    assert refusals(effects) == [(ONE, ErrorCode.REQUEST_FAILED)]
    assert session.phase is Phase.LEAVING
    assert effects[-1] == Converge(leaving.audience)
    session, effects = feed(session, STANDS)
    assert session.phase is Phase.DETACHED
    assert session.standing == OFFERED.standing


def test_an_observer_who_replaces_the_agent_for_good_leaves_all_where_they_are() -> None:
    boss = Participant("boss")
    session, effects = feed(CONSULTING, inputs.TakeOver(ONE, boss, AGENT, keep=False), STANDS)
    assert session.phase is Phase.DETACHED
    assert session.taken_over_by == boss
    assert session.standing.held == THE_CALLER
    assert session.kept
    assert not any(isinstance(e, HangUp) for e in effects)


# --- who joins by himself -----------------------------------------------------------------------


@pytest.mark.parametrize("apart", [True, False])
def test_who_called_by_himself_joins_like_one_who_was_rung(apart: bool) -> None:  # noqa: FBT001 - a parameter of the test
    session, effects = feed(ANSWERED, inputs.JoinParty(ONE, HUMAN, apart=apart))
    assert wanted(effects) == [Converge(session.audience)]
    session, effects = feed(session, STANDS)
    assert session.state is (CallState.ANSWERED if apart else CallState.CONNECTED)
    assert Succeed(ONE) in effects
    assert refusals(feed(session, inputs.JoinParty(TWO, HUMAN))[1]) == [
        (TWO, ErrorCode.BAD_ARGUMENT)
    ]


def test_he_goes_before_he_has_joined() -> None:
    session, effects = feed(ANSWERED, inputs.JoinParty(ONE, HUMAN, apart=True), gone(HUMAN))
    assert session == ANSWERED
    assert refusals(effects) == [(ONE, ErrorCode.CALL_FAILED)]


# --- who leaves with the agent, and a call that all leave ---------------------------------------


def test_who_is_let_go_as_the_agent_leaves_meets_nobody_on_his_way_out() -> None:
    consulted = standing(replace(CONNECTED, parties=BOTH | THE_HUMAN), BOTH, THE_HUMAN)
    back = arrange(apart=THE_HUMAN, leaving=THE_HUMAN, kept=False)
    session, _ = feed(consulted, back, inputs.Close(TWO), inputs.VoiceFinished())
    assert session.phase is Phase.LEAVING
    assert session.audience.talking == BOTH
    session, effects = feed(session, STANDS)
    assert (session.phase, session.parties, session.apart) == (Phase.DETACHED, BOTH, NOBODY)
    assert HangUp(HUMAN, HangupCause.NORMAL) in effects


@pytest.mark.parametrize("phase", [Phase.ANSWERED, Phase.LEAVING, Phase.DETACHED])
def test_when_all_are_to_leave_the_call_ends_and_nothing_has_to_stand_for_that(
    phase: Phase,
) -> None:
    session, effects = feed(
        replace(OFFERED, phase=phase, heard_by=NOBODY), arrange(leaving=OFFERED.parties, kept=False)
    )
    assert (session.phase, session.reason) == (Phase.ENDING, EndReason.NOBODY_LEFT)
    assert effects == [Succeed(ONE), TearDown(HangupCause.NORMAL)]
