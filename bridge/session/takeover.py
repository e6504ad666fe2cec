"""Somebody stands in for a party or for the agent, and gives the call back. Pure.

Whoever takes over is heard by all before the command comes, and it is the command that silences
who is replaced: so the caller is never without somebody. Who is kept listens: a party is muted, the
agent is heard by nobody, and neither changes that himself. When whoever took over leaves without
giving back, who was kept is heard again; if nobody was, the call ends unless others talk.
"""

from __future__ import annotations

from dataclasses import replace

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, ObserverMode
from bridge.model.participants import AGENT, CALLER
from bridge.model.states import EndReason, HangupCause
from bridge.session import inputs
from bridge.session.conference import left_alone, with_one, without, without_taker
from bridge.session.effects import (
    Announce,
    Converge,
    HangUp,
    Notice,
    SetRoute,
    Succeed,
)
from bridge.session.endings import (
    Step,
    end,
    leave_behind,
    refusal,
    refuse_awaiting,
    refuse_changes,
    refuse_turnings,
)
from bridge.session.inputs import Token
from bridge.session.state import BOTH, Change, Phase, Session, Takeover


def take_over(session: Session, event: inputs.TakeOver) -> Step:
    """Put ``event.by`` in the place of somebody, of one at a time."""
    there = session.standing.takeover
    if there is not None and (there.by, there.from_) != (event.by, event.from_):
        message = f"{there.by} has taken over from the {there.from_}: that ends first"
        return session, (refusal(event, ErrorCode.COMMAND_IN_PROGRESS, message),)
    if there is not None and there.kept <= event.keep:
        return _again(session, event)
    if event.by in session.parties | {AGENT}:
        message = f"{event.by!r} is on the call: an observer takes over"
        return session, (refusal(event, ErrorCode.BAD_ARGUMENT, message),)
    if event.from_ == AGENT:
        return _replace_agent(session, event)
    if event.from_ == CALLER or event.from_ not in session.together:
        them = ", ".join(sorted({AGENT, *session.together} - {CALLER}))
        message = f"{event.from_!r} cannot be replaced; one can take over from: {them}"
        return session, (refusal(event, ErrorCode.BAD_ARGUMENT, message),)
    if CALLER not in session.together and len(session.together - {event.from_}) < len(BOTH):
        message = f"without the {event.from_} nobody is left to talk to {event.by}"
        return session, (refusal(event, ErrorCode.INVALID_STATE, message),)
    return _mute_party(session, event) if event.keep else _drop_party(session, event)


def give_back(session: Session, event: inputs.GiveBack) -> Step:
    """Let who was replaced be heard again."""
    there = session.standing.takeover
    if there is None:
        message = "nobody has taken the call over"
    elif event.by not in {None, there.by}:
        message = f"{there.by} has taken the call over, and gives it back"
    elif not there.kept:
        message = f"the {there.from_} was let go: there is nobody to give the call back to"
    else:
        return _give_back(session, event.token)
    return session, (refusal(event, ErrorCode.INVALID_STATE, message),)


def taker_gone(session: Session, event: inputs.TakerGone) -> Step:
    """Give back to who is left; end a call in which nobody is."""
    there = session.standing.takeover
    if there is None or there.by != event.by:
        return session, ()
    undone = tuple(change for change in session.changes if change.notice is Notice.TAKEN_OVER)
    rest = tuple(change for change in session.changes if change not in undone)
    message = f"{event.by} left before it was done"
    refusals = refuse_changes(undone, ErrorCode.INVALID_STATE, message)
    session = replace(session, changes=rest)
    if there.kept and not (there.from_ == AGENT and session.phase is Phase.FINISHING):
        after, effects = _give_back(session, None)
    else:
        after, effects = _nobody_stands_in(session, there)
    return after, (*refusals, *effects)


def change_mode_refused(session: Session, event: inputs.ChangeMode) -> Step:
    """Who was replaced is silent until the call is given back."""
    message = f"{session.taken_over_by} has taken the call over: the agent listens until it is back"
    return session, (refusal(event, ErrorCode.INVALID_STATE, message),)


def _again(session: Session, event: inputs.TakeOver) -> Step:
    if not any(change.notice is Notice.TAKEN_OVER for change in session.changes):
        return session, (Succeed(event.token),)
    change = Change(event.token, Notice.TAKEN_OVER, event.from_, event.by)
    return replace(session, changes=(*session.changes, change)), ()


def _replace_agent(session: Session, event: inputs.TakeOver) -> Step:
    if not session.agent_present:
        message = "the agent has left: one can take over from a party"
        return session, (refusal(event, ErrorCode.INVALID_STATE, message),)
    if not (session.together or session.kept):
        message = f"all parties are apart: nobody is left to talk to {event.by}"
        return session, (refusal(event, ErrorCode.INVALID_STATE, message),)
    message = f"{event.by} has taken the call over"
    mode = session.turnings[-1].mode if session.turnings else session.mode
    free, refusals = refuse_turnings(session, message, ErrorCode.INVALID_STATE)
    silent = replace(free, mode=SPY, heard_by=frozenset())
    takeover = Takeover(event.by, AGENT, kept=event.keep, mode=mode)
    if not event.keep:
        after, effects = _drop_agent(silent, event.token, takeover)
        return after, (*refusals, *effects)
    change = Change(event.token, Notice.TAKEN_OVER, AGENT, event.by)
    taken = _standing(silent, takeover, change)
    told = (
        () if session.mode == SPY else (Announce(Notice.MODE_CHANGED, mode=SPY, message=message),)
    )
    return taken, (*refusals, SetRoute(frozenset()), Converge(taken.audience), *told)


def _drop_agent(session: Session, token: Token, takeover: Takeover) -> Step:
    """Take the agent off at once; what he did to parties goes with him."""
    message = f"{takeover.by} has taken the call over"
    free, effects = refuse_awaiting(session, ErrorCode.CALL_CLOSED, message)
    left, refusals = leave_behind(free, message)
    leaving = replace(
        left,
        phase=Phase.LEAVING,
        leaving=(*left.leaving, token),
        reason=EndReason.TAKEN_OVER,
        standing=replace(left.standing, takeover=takeover),
        stood=replace(left.stood, takeover=takeover),
    )
    told = Announce(Notice.TAKEN_OVER, party=AGENT, by=takeover.by)
    return leaving, (*effects, *refusals, Converge(leaving.audience), told)


def _mute_party(session: Session, event: inputs.TakeOver) -> Step:
    change = Change(event.token, Notice.TAKEN_OVER, event.from_, event.by)
    taken = _standing(session, Takeover(event.by, event.from_, kept=True), change)
    return taken, (Converge(taken.audience),)


def _drop_party(session: Session, event: inputs.TakeOver) -> Step:
    """Let a party go whose place is taken already."""
    left, refusals = without(session, event.from_, "was replaced")
    takeover = Takeover(event.by, event.from_, kept=False)
    taken = replace(
        left,
        standing=replace(left.standing, takeover=takeover),
        stood=replace(left.stood, takeover=takeover),
    )
    effects = (
        HangUp(event.from_, HangupCause.NORMAL),
        Converge(taken.audience),
        Announce(Notice.PARTY_LEFT, party=event.from_, cause=HangupCause.NORMAL),
        Announce(Notice.TAKEN_OVER, party=event.from_, by=event.by),
        Succeed(event.token),
    )
    return taken, (*refusals, *effects)


def _give_back(session: Session, token: Token | None) -> Step:
    there = session.standing.takeover
    if there is None:
        return session, ()
    mode = _mode_back(session, there)
    change = Change(token, Notice.GIVEN_BACK, there.from_, there.by, mode)
    given = _standing(session, None, change)
    if mode is not None:
        given = replace(given, heard_by=mode.heard_by(session.parties, session.apart))
    return given, (Converge(given.audience),)


def _mode_back(session: Session, there: Takeover) -> ObserverMode | None:
    """Return the mode of an agent who gets the call back; alone with somebody he speaks to him."""
    if there.from_ != AGENT:
        return None
    alone = len(session.together) == 1 and not session.may_choose
    return BARGE if alone else there.mode


def _nobody_stands_in(session: Session, there: Takeover) -> Step:
    """Go on without the one who took over from somebody who is not there any more."""
    free = without_taker(session)
    told = Announce(Notice.GIVEN_BACK, party=there.from_, by=there.by)
    if free.phase is Phase.FINISHING:
        alone = len(free.together) == 1 and not free.kept
        free = replace(free, end_for_all=free.end_for_all or alone)
        return free, (told,)
    if left_alone(free):
        ended, effects = end(free, EndReason.NOBODY_LEFT, HangupCause.NORMAL)
    else:
        ended, effects = with_one(free)
    return ended, (told, *effects)


def _standing(session: Session, takeover: Takeover | None, change: Change) -> Session:
    standing = replace(session.standing, takeover=takeover)
    return replace(session, standing=standing, changes=(*session.changes, change))
