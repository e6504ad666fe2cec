"""A call in some of its states, and what its effects amount to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE
from bridge.model.participants import Participant, participant
from bridge.model.states import HangupCause
from bridge.session import Phase, Session, inputs, step
from bridge.session.effects import Announce, Converge, Effect, Notice, Refuse
from bridge.session.inputs import Input, Token
from bridge.session.state import ALONE, BOTH, Standing

ONE, TWO, THREE, FOUR = Token(1), Token(2), Token(3), Token(4)
NOBODY: Final = frozenset[Participant]()
HUMAN, FRIEND, EXPERT = participant("human"), participant("friend"), participant("expert")
BOSS: Final = participant("boss")
STANDS, FAILS = inputs.AudienceStands(), inputs.AudienceFailed("refused")

ANSWERED: Final = Session(phase=Phase.ANSWERED, parties=ALONE, heard_by=ALONE, mode=BARGE)
CONNECTED: Final = Session(phase=Phase.CONNECTED, parties=BOTH, heard_by=BOTH, mode=BARGE)


def feed(session: Session, *events: Input) -> tuple[Session, list[Effect]]:
    effects: list[Effect] = []
    for event in events:
        session, out = step(session, event)
        effects += out
    return session, effects


def standing(
    session: Session, held: frozenset[Participant], apart: frozenset[Participant]
) -> Session:
    """Return a call that is looked after, with parties in their places."""
    now = Standing(held=held, apart=apart, kept=True)
    return replace(session, standing=now, stood=now)


def arrange(
    held: frozenset[Participant] = NOBODY,
    apart: frozenset[Participant] = NOBODY,
    leaving: frozenset[Participant] = NOBODY,
    *,
    kept: bool = True,
    token: Token = ONE,
) -> inputs.Arrange:
    return inputs.Arrange(token, held, apart, leaving, kept)


def gone(party: Participant) -> inputs.PartyGone:
    return inputs.PartyGone(party, HangupCause.BUSY)


def refusals(effects: Iterable[object]) -> list[tuple[Token, ErrorCode]]:
    return [(e.token, e.code) for e in effects if isinstance(e, Refuse)]


def told(effects: Iterable[object]) -> list[tuple[Notice, Participant | None]]:
    return [(e.notice, e.party) for e in effects if isinstance(e, Announce)]


def notices(effects: Iterable[object]) -> list[Notice]:
    return [notice for notice, _ in told(effects)]


def wanted(effects: Iterable[object]) -> list[Converge]:
    return [e for e in effects if isinstance(e, Converge)]
