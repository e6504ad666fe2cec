"""Where parties are: in the talk, held, or apart; for one who looks after the call meanwhile. Pure.

While a call is kept, by a transfer or a parking, it does not end as long as one party is there, the
agent may leave it without an end, and he may choose his mode though he is alone with one. When it
is kept no more the rules of a conference hold again, at once.
"""

from __future__ import annotations

from dataclasses import replace

from bridge.model.errors import ErrorCode
from bridge.model.states import EndReason, HangupCause
from bridge.session import inputs
from bridge.session.conference import (
    add_party,
    is_taken,
    listeners,
    party_answered,
    refuse_kept,
    refuse_name,
    remove_party,
)
from bridge.session.effects import Converge, Succeed
from bridge.session.endings import Step, end, refusal, refuse_closed
from bridge.session.state import Adding, Arrangement, Session


def arrange(session: Session, event: inputs.Arrange) -> Step:
    """Put all parties to their places at once; who leaves, or joins just now, stays in his.

    When all are to leave, the call ends.
    """
    if both := event.held & event.apart:
        message = f"{', '.join(sorted(both))}: held or apart, not both"
        return session, (refusal(event, ErrorCode.BAD_ARGUMENT, message),)
    if event.unless_kept and session.kept:
        return session, (refuse_kept(event),)
    now, there = session.standing, session.parties
    leaving = event.leaving & there
    if leaving and leaving == there and not event.kept:
        # Nobody has to be put anywhere first: so it cannot fail.
        ended, effects = end(session, EndReason.NOBODY_LEFT, HangupCause.NORMAL)
        return ended, (Succeed(event.token), *effects)
    fixed = leaving | session.going | {adding.party for adding in session.adding}
    held = (event.held - fixed | now.held & fixed) & there
    apart = (event.apart - fixed | now.apart & fixed) & there
    wanted = replace(now, held=held, apart=apart, kept=event.kept)
    if wanted == now and not (leaving or session.changes or session.arrangements):
        return session, (Succeed(event.token),)
    changed = (now.held ^ held) | (now.apart ^ apart)
    arrangement = Arrangement(event.token, changed, leaving, come=now.apart - apart)
    arranged = replace(
        session,
        standing=wanted,
        heard_by=listeners(session, session.apart, apart),
        arrangements=(*session.arrangements, arrangement),
    )
    return arranged, (Converge(arranged.audience),)


def join_party(session: Session, event: inputs.JoinParty) -> Step:
    """Let somebody join who is there already."""
    if is_taken(session, event.party):
        return session, (refuse_name(event),)
    adding = (*session.adding, Adding(event.token, event.party, apart=event.apart))
    return party_answered(replace(session, adding=adding), inputs.PartyAnswered(event.party))


def add_party_if_kept(session: Session, event: inputs.AddParty) -> Step:
    """Without the agent only who looks after the call brings somebody in."""
    return add_party(session, event) if session.kept else refuse_closed(session, event)


def remove_party_if_kept(session: Session, event: inputs.RemoveParty) -> Step:
    """Without the agent only who looks after the call lets somebody go."""
    return remove_party(session, event) if session.kept else refuse_closed(session, event)
