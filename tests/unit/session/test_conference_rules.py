"""Parties beside caller and callee, and who stands in for whom: what follows from what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, ObserverMode, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import CallState, EndReason, HangupCause
from bridge.session import Phase, Session, inputs
from bridge.session.effects import (
    Announce,
    Bond,
    Converge,
    HangUp,
    Notice,
    SetRoute,
    Succeed,
    TearDown,
    Tie,
    TurnVoice,
)
from bridge.session.inputs import Token
from bridge.session.state import ALONE, BOTH, Standing
from tests.unit.session.sessions import (
    ANSWERED,
    BOSS,
    CONNECTED,
    EXPERT,
    FAILS,
    ONE,
    STANDS,
    TWO,
    feed,
    notices,
    refusals,
)

THREE = BOTH | {EXPERT}
CONFERENCE = replace(CONNECTED, parties=THREE, heard_by=THREE)
SILENT = replace(CONFERENCE, heard_by=frozenset(), mode=SPY)
DETACHED = Session(phase=Phase.DETACHED, parties=THREE)


def add(token: Token = ONE) -> inputs.AddParty:
    return inputs.AddParty(token, EXPERT, "PJSIP/1003", 30)


# --- adding and removing ------------------------------------------------------------------------


def test_one_who_is_added_joins_when_his_line_stands() -> None:
    session, effects = feed(CONNECTED, add(), inputs.PartyAnswered(EXPERT))
    assert session.parties == session.heard_by == THREE
    assert Succeed(ONE) not in effects
    session, effects = feed(session, STANDS)
    assert effects[-1] == Succeed(ONE)
    assert notices(effects) == [Notice.PARTY_JOINED]
    # What was said before is not for him, what is said from now on is.
    assert SetRoute(BARGE.route(THREE)) in effects


@pytest.mark.parametrize(
    ("mode", "heard_by"),
    [(SPY, set()), (whisper(CALLEE), {CALLEE}), (whisper(CALLEE, EXPERT), {CALLEE, EXPERT})],
)
def test_whom_the_agent_does_not_mean_does_not_hear_him(
    mode: ObserverMode, heard_by: set[Participant]
) -> None:
    before = replace(CONNECTED, mode=mode, heard_by=mode.heard_by(BOTH))
    session, _ = feed(before, add(), inputs.PartyAnswered(EXPERT), STANDS)
    assert session.heard_by == heard_by


def test_one_whose_line_cannot_be_made_is_let_go() -> None:
    session, effects = feed(ANSWERED, add(), inputs.PartyAnswered(EXPERT), FAILS)
    assert session == ANSWERED
    assert HangUp(EXPERT, HangupCause.TEMPORARY_FAILURE) in effects
    assert refusals(effects) == [(ONE, ErrorCode.REQUEST_FAILED)]
    assert effects[-1] == Converge(ANSWERED.audience)


def test_of_two_who_are_added_one_fails() -> None:
    other = inputs.AddParty(TWO, Participant("friend"), "PJSIP/1004", 30)
    busy = inputs.PartyFailed(EXPERT, ErrorCode.CALL_BUSY, "busy", 17)
    session, effects = feed(
        CONNECTED, add(), other, inputs.PartyAnswered(Participant("friend")), busy, STANDS
    )
    assert session.parties == BOTH | {"friend"}
    assert refusals(effects) == [(ONE, ErrorCode.CALL_BUSY)]
    assert Succeed(TWO) in effects


def test_with_one_party_it_is_answered_and_with_two_connected() -> None:
    session, effects = feed(ANSWERED, add(), inputs.PartyAnswered(EXPERT), STANDS)
    assert session.state is CallState.CONNECTED
    assert notices(effects) == [Notice.CONNECTED, Notice.PARTY_JOINED]
    session, effects = feed(session, inputs.RemoveParty(TWO, EXPERT))
    assert session == ANSWERED
    assert effects[-1] == Succeed(TWO)
    assert HangUp(EXPERT, HangupCause.NORMAL) in effects


def test_the_last_one_is_not_left_in_silence() -> None:
    before = replace(CONNECTED, mode=whisper(CALLEE), heard_by=frozenset({CALLEE}))
    session, effects = feed(before, inputs.RemoveParty(ONE, CALLEE))
    assert session == before
    assert refusals(effects) == [(ONE, ErrorCode.INVALID_STATE)]
    # The one who hears the agent may stay with him.
    session, effects = feed(before, inputs.RemoveParty(ONE, CALLER))
    assert (session.phase, session.mode) == (Phase.ANSWERED, BARGE)
    assert session.parties == {CALLEE}
    assert notices(effects) == [Notice.PARTY_LEFT, Notice.MODE_CHANGED]


@pytest.mark.parametrize(
    ("session", "gone", "reason"),
    [
        (CONNECTED, CALLEE, EndReason.CALLEE_HUNG_UP),
        (
            replace(CONFERENCE, parties=frozenset({CALLER, EXPERT})),
            CALLER,
            EndReason.CALLER_HUNG_UP,
        ),
        (replace(SILENT, parties=frozenset({CALLER, EXPERT})), EXPERT, EndReason.PARTY_HUNG_UP),
        (replace(CONFERENCE, parties=frozenset({CALLER, EXPERT})), EXPERT, None),
        (CONFERENCE, CALLER, None),
        (DETACHED, CALLER, None),
        (replace(DETACHED, parties=frozenset({CALLER, EXPERT})), EXPERT, EndReason.PARTY_HUNG_UP),
    ],
)
def test_when_a_call_is_over(session: Session, gone: Participant, reason: EndReason | None) -> None:
    before = replace(session, heard_by=session.heard_by & session.parties)
    after, effects = feed(before, inputs.PartyGone(gone, 16))
    assert after.reason is reason
    assert any(isinstance(e, TearDown) for e in effects) is (reason is not None)
    assert (Notice.PARTY_LEFT in notices(effects)) is (reason is None)


# --- muting and holding -------------------------------------------------------------------------


def test_what_cannot_be_done_is_as_it_was() -> None:
    muted, _ = feed(CONFERENCE, inputs.MuteParty(ONE, CALLEE, on=True), STANDS)
    assert muted.audience.muted == {CALLEE}
    session, effects = feed(
        replace(muted, mode=SPY, heard_by=frozenset()),
        inputs.HoldParty(ONE, EXPERT, on=True),
        inputs.MuteParty(TWO, CALLEE, on=False),
        FAILS,
    )
    assert session.audience.muted == {CALLEE}
    assert session.audience.held == frozenset()
    assert refusals(effects) == [
        (ONE, ErrorCode.REQUEST_FAILED),
        (TWO, ErrorCode.REQUEST_FAILED),
    ]
    assert Converge(session.audience) in effects


def test_nobody_is_muted_or_held_when_the_agent_has_left() -> None:
    session, _ = feed(
        CONFERENCE,
        inputs.MuteParty(ONE, CALLEE, on=True),
        inputs.HoldParty(TWO, EXPERT, on=True),
        STANDS,
        inputs.Close(ONE),
        inputs.VoiceFinished(),
    )
    assert session.phase is Phase.LEAVING
    assert (session.audience.muted, session.audience.held) == (frozenset(), frozenset())


# --- takeover -----------------------------------------------------------------------------------


def taken(session: Session, from_: Participant, *, keep: bool = True) -> Session:
    return feed(session, inputs.TakeOver(ONE, BOSS, from_, keep), STANDS)[0]


def test_a_failed_takeover_changes_nothing() -> None:
    for from_ in (CALLEE, AGENT):
        session, effects = feed(CONFERENCE, inputs.TakeOver(ONE, BOSS, from_), FAILS)
        assert session.taken_over_by is None
        assert session.audience.muted == frozenset()
        assert refusals(effects) == [(ONE, ErrorCode.REQUEST_FAILED)]
    # With the caller alone the agent could not speak again by himself.
    session, effects = feed(ANSWERED, inputs.TakeOver(ONE, BOSS, AGENT), FAILS)
    assert session == ANSWERED
    assert SetRoute(BARGE.route(ANSWERED.parties)) in effects


def test_a_failed_give_back_leaves_it_taken() -> None:
    for before in (taken(CONFERENCE, CALLEE), taken(CONFERENCE, AGENT), taken(ANSWERED, AGENT)):
        session, effects = feed(before, inputs.GiveBack(ONE), FAILS)
        assert session.taken_over_by == BOSS
        assert session.audience.muted == before.audience.muted
        assert refusals(effects) == [(ONE, ErrorCode.REQUEST_FAILED)]
        if before.replaced == AGENT:
            assert session.heard_by == frozenset()


def test_a_failed_give_back_to_one_who_is_left_alone_by_all_is_done_with() -> None:
    before = taken(CONNECTED, CALLEE)
    session, effects = feed(before, inputs.GiveBack(ONE), inputs.RemoveParty(TWO, CALLER), FAILS)
    assert session.standing == Standing()
    assert (session.phase, session.heard_by) == (Phase.ANSWERED, frozenset({CALLEE}))
    assert Announce(Notice.GIVEN_BACK, party=CALLEE, by=BOSS) in effects
    assert refusals(effects) == [(ONE, ErrorCode.REQUEST_FAILED)]


def test_whoever_goes_has_gone_though_asterisk_fails() -> None:
    for before, heard_by in (
        (taken(CONFERENCE, CALLEE), frozenset[Participant]()),
        (taken(ANSWERED, AGENT), ALONE),
    ):
        session, effects = feed(before, inputs.TakerGone(BOSS), FAILS)
        assert session.taken_over_by is None
        assert session.audience.muted == frozenset()
        assert session.heard_by == heard_by
        assert notices(effects).count(Notice.GIVEN_BACK) == 1


def test_the_mode_that_is_given_back_is_the_one_he_had() -> None:
    for mode in (SPY, BARGE, whisper(CALLEE)):
        before = replace(CONFERENCE, mode=mode, heard_by=mode.heard_by(THREE))
        silent = taken(before, AGENT)
        assert (silent.mode, silent.heard_by) == (SPY, frozenset())
        session, effects = feed(silent, inputs.GiveBack(TWO), STANDS)
        assert session == before
        assert (SetRoute(mode.route(THREE)) in effects) is (mode != SPY)


def test_a_mode_change_under_way_is_what_is_given_back() -> None:
    session, effects = feed(
        CONFERENCE, inputs.ChangeMode(ONE, whisper(CALLEE)), inputs.TakeOver(TWO, BOSS, AGENT)
    )
    assert refusals(effects) == [(ONE, ErrorCode.INVALID_STATE)]
    session, effects = feed(session, inputs.VoiceReached(ONE), inputs.VoiceSettled(ONE))
    assert effects == []
    session, _ = feed(session, STANDS, inputs.GiveBack(TWO), STANDS)
    assert session.mode == whisper(CALLEE)


def test_nobody_stands_in_and_nobody_was_kept() -> None:
    left = taken(CONNECTED, CALLEE, keep=False)
    assert (left.parties, left.taken_over_by) == (ALONE, BOSS)
    session, _ = feed(left, inputs.TakerGone(BOSS))
    assert (session.phase, session.mode) == (Phase.ANSWERED, BARGE)
    silent = replace(left, mode=SPY, heard_by=frozenset())
    session, effects = feed(silent, inputs.TakerGone(BOSS))
    assert session.reason is EndReason.NOBODY_LEFT
    assert TearDown(HangupCause.NORMAL) in effects
    session, effects = feed(left, inputs.TakerGone(Participant("other")))
    assert (session, effects) == (left, [])


def test_the_agent_leaves_while_somebody_stands_in() -> None:
    session, effects = feed(
        taken(ANSWERED, AGENT), inputs.Close(TWO), inputs.VoiceFinished(), STANDS
    )
    assert (session.phase, session.parties, session.taken_over_by) == (Phase.DETACHED, ALONE, BOSS)
    assert Announce(Notice.TERMINATED, reason=EndReason.AGENT_LEFT) in effects
    session, _ = feed(session, inputs.GiveBack(ONE))
    assert session.taken_over_by == BOSS
    session, _ = feed(session, inputs.TakerGone(BOSS))
    assert session.phase is Phase.ENDING


# --- fates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "bond"),
    [
        (ANSWERED, Bond()),
        (CONNECTED, Bond(BOTH, BOTH)),
        (replace(CONNECTED, mode=SPY, heard_by=frozenset()), Bond(BOTH, BOTH)),
        (CONFERENCE, Bond(THREE, BOTH, frozenset({EXPERT}))),
        (SILENT, Bond(THREE, THREE)),
        (DETACHED, Bond(THREE, THREE)),
        (taken(CONNECTED, CALLEE), Bond(ALONE, ALONE, frozenset({CALLEE}))),
        (taken(CONNECTED, CALLEE, keep=False), Bond()),
        (taken(DETACHED, CALLEE), Bond(ALONE | {EXPERT}, ALONE)),
        (taken(CONFERENCE, AGENT), Bond(THREE, BOTH, frozenset({EXPERT}))),
    ],
)
def test_who_is_released_with_whom(session: Session, bond: Bond) -> None:
    assert session.bond == bond


def test_ties_are_loosened_before_anybody_is_let_go() -> None:
    for event in (inputs.RemoveParty(ONE, CALLEE), inputs.TakeOver(ONE, BOSS, CALLEE, keep=False)):
        _, effects = feed(CONNECTED, event)
        assert effects[0] == Tie(Bond())
        assert isinstance(effects[1], HangUp)
    _, effects = feed(CONNECTED, inputs.PartyGone(CALLER, 16))
    assert not any(isinstance(effect, Tie) for effect in effects)


# --- alone with the agent, whatever has failed --------------------------------------------------


def test_who_is_alone_again_is_spoken_to_though_the_mode_was_just_changed() -> None:
    apart = replace(add(), apart=True)
    session, effects = feed(
        ANSWERED, apart, inputs.PartyAnswered(EXPERT), inputs.ChangeMode(TWO, SPY), FAILS
    )
    assert session == ANSWERED
    assert effects.index(SetRoute(BARGE.route(ANSWERED.parties))) > effects.index(
        TurnVoice(TWO, frozenset(), cut=False)
    )
    assert (TWO, ErrorCode.CALL_CLOSED) in refusals(effects)


def test_a_callee_who_is_not_joined_leaves_the_agent_with_the_caller_though_he_was_taken_off() -> (
    None
):
    session, effects = feed(
        ANSWERED,
        inputs.TakeOver(ONE, BOSS, AGENT),
        inputs.Connect(TWO, "PJSIP/1002", 60),
        inputs.CalleeAnswered(),
        FAILS,
    )
    assert replace(session, before_ringing=ANSWERED.before_ringing) == ANSWERED
    assert SetRoute(BARGE.route(ANSWERED.parties)) in effects
    modes = [e.mode for e in effects if isinstance(e, Announce) and e.mode is not None]
    assert modes == [SPY, BARGE]
    assert dict(refusals(effects)) == dict.fromkeys((ONE, TWO), ErrorCode.REQUEST_FAILED)


def test_nobody_stands_in_where_nobody_is_to_be_talked_to() -> None:
    off = frozenset({CALLER})
    caller_apart = replace(
        CONNECTED, phase=Phase.ANSWERED, standing=Standing(apart=off), stood=Standing(apart=off)
    )
    for before, command in (
        (caller_apart, inputs.TakeOver(ONE, BOSS, CALLEE)),
        (
            replace(caller_apart, standing=Standing(apart=BOTH)),
            inputs.TakeOver(ONE, BOSS, AGENT, keep=False),
        ),
    ):
        session, effects = feed(before, command)
        assert session == before
        assert refusals(effects) == [(ONE, ErrorCode.INVALID_STATE)]


def test_a_mode_whose_gates_are_closed_again_before_they_stood_is_refused() -> None:
    session, effects = feed(
        CONNECTED,
        inputs.ChangeMode(ONE, whisper(CALLEE)),
        inputs.ChangeMode(TWO, BARGE),
        inputs.VoiceReached(ONE),
        inputs.VoiceSettled(ONE),
        inputs.VoiceFailed(TWO, "broken"),
        STANDS,
    )
    assert (session.mode, session.heard_by) == (SPY, frozenset())
    assert dict(refusals(effects)) == dict.fromkeys((ONE, TWO), ErrorCode.REQUEST_FAILED)
    assert [e.mode for e in effects if isinstance(e, Announce)] == [SPY]


def test_an_agent_who_is_replaced_and_leaves_with_the_last_one_who_was_joining_ends_the_call() -> (
    None
):
    session, effects = feed(
        taken(ANSWERED, AGENT),
        inputs.JoinParty(ONE, EXPERT),
        inputs.RemoveParty(TWO, CALLER),
        inputs.Close(TWO),
    )
    assert session.phase is Phase.ENDING
    assert effects[-1] == TearDown(HangupCause.NORMAL)
    assert (ONE, ErrorCode.CALL_CLOSED) in refusals(effects)
