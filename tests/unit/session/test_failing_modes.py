"""Mode changes that fail on their way: who may hear the agent, and what the program is told."""

from __future__ import annotations

from bridge.model.audibility import Audience
from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER
from bridge.session import inputs
from bridge.session.effects import (
    Announce,
    Converge,
    Mend,
    Notice,
    Refuse,
    SetRoute,
    Succeed,
)
from bridge.session.state import BOTH
from tests.unit.session.sessions import CONNECTED, ONE, TWO, feed, refusals

SILENT = Audience(BOTH, ((AGENT, frozenset()),))


def test_it_is_in_effect_only_when_its_gates_stand() -> None:
    session, effects = feed(
        CONNECTED,
        inputs.ChangeMode(ONE, whisper()),
        inputs.VoiceReached(ONE),
        inputs.AudienceStands(),
        inputs.VoiceSettled(ONE),
    )
    assert session.heard_by == {CALLEE}
    assert session.mode == BARGE
    assert Succeed(ONE) not in effects
    session, effects = feed(session, inputs.AudienceStands())
    assert session.mode == whisper()
    assert set(effects) == {Succeed(ONE), Announce(Notice.MODE_CHANGED, mode=whisper())}


def test_gates_that_do_not_close_refuse_it_after_the_silence() -> None:
    session, _ = feed(
        CONNECTED,
        inputs.ChangeMode(ONE, whisper()),
        inputs.VoiceReached(ONE),
        inputs.AudienceStands(),
        inputs.VoiceSettled(ONE),
    )
    session, effects = feed(session, inputs.AudienceFailed("refused"))
    assert (session.mode, session.heard_by, session.turnings) == (SPY, frozenset(), ())
    kinds = [type(effect) for effect in effects]
    assert kinds == [SetRoute, Converge, Announce, Refuse]
    assert effects[:2] == [SetRoute(frozenset()), Converge(SILENT)]
    # What closes then is no news, and what does not is no new failure.
    assert feed(session, inputs.AudienceFailed("refused")) == (session, [])


def test_a_change_behind_it_decides_by_itself() -> None:
    session, _ = feed(
        CONNECTED,
        inputs.ChangeMode(ONE, whisper()),
        inputs.ChangeMode(TWO, whisper(CALLER)),
        inputs.VoiceReached(ONE),
    )
    session, effects = feed(
        session, inputs.AudienceFailed("refused"), inputs.VoiceFailed(ONE, "refused")
    )
    assert not [effect for effect in effects if isinstance(effect, SetRoute)]
    session, effects = feed(
        session,
        inputs.VoiceReached(TWO),
        inputs.AudienceStands(),
        inputs.VoiceSettled(TWO),
        inputs.AudienceStands(),
    )
    assert session.mode == whisper(CALLER)
    assert session.heard_by == {CALLER}
    assert {Succeed(TWO), Announce(Notice.MODE_CHANGED, mode=whisper(CALLER))} <= set(effects)


def test_a_lost_server_is_what_pending_changes_hear_of() -> None:
    session, _ = feed(CONNECTED, inputs.ChangeMode(ONE, SPY), inputs.ChangeMode(TWO, BARGE))
    _, effects = feed(session, inputs.ServerLost())
    assert refusals(effects) == [
        (ONE, ErrorCode.SERVER_UNREACHABLE),
        (TWO, ErrorCode.SERVER_UNREACHABLE),
    ]


def test_a_mend_wants_what_was_wanted() -> None:
    for event in (inputs.LineLost(CALLER), inputs.EventsMissed()):
        session, effects = feed(CONNECTED, event)
        assert session == CONNECTED
        assert effects == [Mend(CONNECTED.audience)]
