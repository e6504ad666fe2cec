"""How commands are answered and calls are ended: what the rules of all phases share. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.modes import SPY
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.model.states import EndReason, HangupCause
from bridge.session import inputs
from bridge.session.effects import Announce, Effect, HangUp, Notice, Refuse, Succeed, TearDown
from bridge.session.inputs import Command, Token
from bridge.session.state import Arrangement, Change, Phase, Session, Standing

Step: TypeAlias = tuple[Session, tuple[Effect, ...]]

_REASONS = {CALLER: EndReason.CALLER_HUNG_UP, CALLEE: EndReason.CALLEE_HUNG_UP}


def over(session: Session, gone: Participant) -> Step:
    """End a call because somebody hung up and the others are too few."""
    message = f"the {gone} hung up"
    code = ErrorCode.CALLER_GONE if gone == CALLER else ErrorCode.CALL_CLOSED
    waiting, effects = refuse_waiting(session, code, message)
    reason = _REASONS.get(gone, EndReason.PARTY_HUNG_UP)
    ended, more = end(waiting, reason, HangupCause.NORMAL)
    return ended, (*effects, *more)


def end(session: Session, reason: EndReason, cause: HangupCause | None) -> Step:
    """Release everybody with ``cause``; None: leave the parties as they are."""
    waiting, effects = refuse_waiting(session, ErrorCode.CALL_CLOSED, "the call ended")
    silent, more = refuse_turnings(waiting, "the call ended")
    ending = replace(
        silent,
        phase=Phase.ENDING,
        reason=session.reason or reason,
        parties=frozenset(),
        heard_by=frozenset(),
        mode=SPY,
        standing=Standing(),
        stood=Standing(),
    )
    return ending, (*effects, *more, TearDown(cause))


def refusal(event: Command, code: ErrorCode, message: str) -> Refuse:
    """Return the refusal of a command."""
    return Refuse(event.token, code, message)


def refuse_turnings(
    session: Session, message: str, code: ErrorCode = ErrorCode.CALL_CLOSED
) -> Step:
    """Refuse the mode changes that are under way."""
    refusals = tuple(Refuse(t.token, code, message) for t in session.turnings)
    return replace(session, turnings=()), refusals


def refuse_awaiting(
    session: Session, code: ErrorCode, message: str, cause: int | None = None
) -> Step:
    """Refuse the answer or connect that is under way."""
    if session.awaiting is None:
        return session, ()
    return replace(session, awaiting=None), (Refuse(session.awaiting, code, message, cause),)


def refuse_waiting(session: Session, code: ErrorCode, message: str) -> Step:
    """Refuse all that is under way but mode changes; nothing is undone."""
    waiting, effects = refuse_awaiting(session, code, message)
    adding = tuple(Refuse(a.token, code, message) for a in session.adding)
    changes = refuse_changes((*session.changes, *session.arrangements), code, message)
    none = replace(waiting, adding=(), changes=(), arrangements=())
    return none, (*effects, *adding, *changes)


def refuse_changes(
    changes: Iterable[Change | Arrangement], code: ErrorCode, message: str
) -> tuple[Effect, ...]:
    """Return the refusals of changes of the standing."""
    return tuple(Refuse(c.token, code, message) for c in changes if c.token is not None)


def succeed(token: Token | None) -> tuple[Effect, ...]:
    """Return the answer to a command, should there be one behind what was done."""
    return () if token is None else (Succeed(token),)


def succeed_awaiting(session: Session) -> Step:
    """Answer the answer or connect that is done now."""
    return replace(session, awaiting=None), succeed(session.awaiting)


def give_up_adding(session: Session, message: str) -> Step:
    """Let those go who are being added; their legs are off the call."""
    effects: list[Effect] = []
    for adding in session.adding:
        effects.append(HangUp(adding.party, HangupCause.NORMAL))
        effects.append(Refuse(adding.token, ErrorCode.CALL_CLOSED, message))
    given_up = frozenset(adding.party for adding in session.adding)
    return replace(off_call(session, given_up), adding=()), tuple(effects)


def off_call(session: Session, parties: frozenset[Participant]) -> Session:
    """Return the session without parties whose legs are gone, or about to be."""
    standing, stood = session.standing, session.stood
    for party in parties:
        standing, stood = standing.without(party), stood.without(party)
    return replace(
        session,
        parties=session.parties - parties,
        heard_by=session.heard_by - parties,
        standing=standing,
        stood=stood,
    )


def let_go(session: Session, parties: frozenset[Participant]) -> Step:
    """Hang parties up, and tell that they have left."""
    effects: list[Effect] = []
    for party in sorted(parties):
        effects.append(HangUp(party, HangupCause.NORMAL))
        effects.append(Announce(Notice.PARTY_LEFT, party=party, cause=HangupCause.NORMAL))
    return off_call(session, parties), tuple(effects)


def leave_behind(session: Session, message: str) -> Step:
    """Return a call that the agent leaves: what he did to parties goes with him, or who he brought.

    Unless somebody looks after the call: then all are left where they are put.
    """
    if session.kept:
        refusals = refuse_changes(session.changes, ErrorCode.CALL_CLOSED, message)
        left = replace(session, changes=())
    else:
        alone, given_up = give_up_adding(session, message)
        left, gone = let_go(alone, alone.apart)
        left, refused = refuse_waiting(left, ErrorCode.CALL_CLOSED, message)
        refusals = (*given_up, *gone, *refused)
    standing = left.standing.left_behind()
    # Who is apart is let go when what is under way stands, and meets nobody until then.
    standing = replace(standing, apart=standing.apart | left.apart)
    stood = left.stood.left_behind() if left.arrangements else standing
    return replace(left, heard_by=frozenset(), standing=standing, stood=stood), refusals


def refuse_state(session: Session, event: Command) -> Step:
    """The command does not exist in this state."""
    return session, (refusal(event, ErrorCode.INVALID_STATE, f"not possible: {session.state}"),)


def refuse_busy(session: Session, event: Command) -> Step:
    """Another command has to end first."""
    message = f"{session.phase} is under way; wait for it, or end the call"
    return session, (refusal(event, ErrorCode.COMMAND_IN_PROGRESS, message),)


def refuse_closed(session: Session, event: Command) -> Step:
    """The agent is not on the call any more."""
    why = session.reason or "the agent is leaving"
    return session, (refusal(event, ErrorCode.CALL_CLOSED, f"the call is over: {why}"),)


def ignore(session: Session, event: inputs.Input) -> Step:
    """Nothing follows: the fact is late, doubled, or speaks of what is over."""
    del event
    return session, ()
