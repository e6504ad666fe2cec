"""Who is apart when nobody looks after the call: alone without the agent, or coming back."""

from __future__ import annotations

from dataclasses import replace

from bridge.model.modes import BARGE, SPY
from bridge.model.participants import AGENT, CALLER
from bridge.model.states import EndReason, HangupCause
from bridge.session import Phase, inputs
from bridge.session.effects import HangUp, Notice, SetRoute, Succeed
from bridge.session.state import ALONE, BOTH, Standing
from tests.unit.session.sessions import (
    ANSWERED,
    BOSS,
    CONNECTED,
    FAILS,
    FOUR,
    FRIEND,
    HUMAN,
    NOBODY,
    ONE,
    STANDS,
    THREE,
    TWO,
    arrange,
    feed,
    standing,
    told,
    wanted,
)

THE_HUMAN, THE_FRIEND = frozenset({HUMAN}), frozenset({FRIEND})
DETACHED = replace(CONNECTED, phase=Phase.DETACHED, heard_by=NOBODY, mode=SPY)


def test_without_the_agent_whoever_is_apart_is_let_go_when_nobody_looks_after_him() -> None:
    before = standing(replace(DETACHED, parties=BOTH | THE_HUMAN), NOBODY, THE_HUMAN)
    session, effects = feed(before, arrange(apart=THE_HUMAN, kept=False), STANDS)
    assert session == DETACHED
    assert HangUp(HUMAN, HangupCause.NORMAL) in effects
    assert told(effects) == [(Notice.PARTY_LEFT, HUMAN)]
    assert wanted(effects)[-1].audience == session.audience
    assert effects[-1] == Succeed(ONE)


def test_without_the_agent_nobody_joins_apart_whom_nobody_looks_after() -> None:
    session, effects = feed(DETACHED, inputs.JoinParty(ONE, HUMAN, apart=True), STANDS)
    assert session == DETACHED
    assert told(effects) == [(Notice.PARTY_JOINED, HUMAN), (Notice.PARTY_LEFT, HUMAN)]


def test_without_the_agent_one_beside_whom_all_are_apart_is_alone() -> None:
    before = standing(replace(DETACHED, parties=ALONE | THE_HUMAN), NOBODY, THE_HUMAN)
    session, effects = feed(before, arrange(apart=THE_HUMAN, kept=False), STANDS)
    assert (session.phase, session.reason) == (Phase.ENDING, EndReason.NOBODY_LEFT)
    assert HangUp(HUMAN, HangupCause.NORMAL) in effects


def test_with_the_agent_he_stays_apart() -> None:
    before = standing(replace(CONNECTED, parties=BOTH | THE_HUMAN), NOBODY, THE_HUMAN)
    session, effects = feed(before, arrange(apart=THE_HUMAN, kept=False), STANDS)
    assert session.apart == THE_HUMAN
    assert not [effect for effect in effects if isinstance(effect, HangUp)]


def test_who_is_apart_as_the_agent_leaves_meets_nobody_on_his_way_out() -> None:
    before = standing(replace(CONNECTED, parties=BOTH | THE_HUMAN), NOBODY, THE_HUMAN)
    leaves = (inputs.Close(TWO), inputs.VoiceFinished())
    session, _ = feed(before, *leaves[:1], arrange(apart=THE_HUMAN, kept=False), *leaves[1:])
    assert session.phase is Phase.LEAVING
    assert session.audience.talking == BOTH
    session, effects = feed(session, STANDS)
    assert (session.phase, session.parties) == (Phase.DETACHED, BOTH)
    assert HangUp(HUMAN, HangupCause.NORMAL) in effects


def test_one_who_is_left_as_the_agent_leaves_and_nobody_took_over_is_not_left_alone() -> None:
    session, _ = feed(
        ANSWERED,
        arrange(),
        inputs.TakeOver(TWO, BOSS, AGENT),
        inputs.Close(THREE),
        inputs.VoiceFinished(),
        arrange(kept=False, token=FOUR),
    )
    assert session.phase is Phase.LEAVING
    session, _ = feed(session, FAILS)
    assert (session.phase, session.parties) == (Phase.ENDING, NOBODY)


# --- for whom the agent's words are -------------------------------------------------------------


def test_who_was_to_be_apart_for_a_moment_only_is_among_those_the_agent_speaks_to() -> None:
    there = BOTH | THE_HUMAN | THE_FRIEND
    now = Standing(apart=THE_HUMAN)
    before = replace(CONNECTED, parties=there, heard_by=there - THE_HUMAN, standing=now, stood=now)
    session, effects = feed(
        before,
        arrange(apart=THE_FRIEND, kept=False),
        inputs.ChangeMode(TWO, BARGE),
        arrange(apart=THE_HUMAN, kept=False, token=THREE),
        STANDS,
    )
    assert session.heard_by == there - THE_HUMAN
    assert SetRoute(BARGE.route(there, THE_HUMAN)) in effects


def test_who_was_to_be_apart_and_could_not_be_is_so_too() -> None:
    session, effects = feed(
        CONNECTED,
        arrange(apart=frozenset({CALLER}), kept=False),
        inputs.ChangeMode(TWO, BARGE),
        FAILS,
    )
    assert session.apart == NOBODY
    assert SetRoute(BARGE.route(BOTH)) in effects
