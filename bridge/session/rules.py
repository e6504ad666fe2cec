"""What follows from an input, phase by phase. Pure: a session in, the next one and effects out.

The program is told of an event before the command that it ends returns. Each rule handles the
phases that ``machine.TRANSITIONS`` lists for it, and no other.
"""

from __future__ import annotations

from dataclasses import replace

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, ObserverMode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import EndReason, HangupCause
from bridge.session import inputs
from bridge.session.conference import as_it_was, as_when_alone, goes_on, roll_back, settle
from bridge.session.effects import (
    Announce,
    AnswerCaller,
    Converge,
    Dial,
    Effect,
    FinishVoice,
    HangUp,
    Mend,
    Notice,
    Refuse,
    RingCaller,
    SetRoute,
    Succeed,
    TurnVoice,
)
from bridge.session.endings import (
    Step,
    end,
    give_up_adding,
    leave_behind,
    over,
    refusal,
    refuse_awaiting,
    refuse_state,
    refuse_turnings,
    refuse_waiting,
    succeed_awaiting,
)
from bridge.session.inputs import Input
from bridge.session.state import AFTER_CONNECT, ALONE, BOTH, Phase, Session, Turning
from bridge.session.takeover import change_mode_refused

# --- commands -----------------------------------------------------------------------------------


def answer(session: Session, event: inputs.Answer) -> Step:
    """Begin to answer."""
    return replace(session, phase=Phase.ANSWERING, awaiting=event.token), (AnswerCaller(),)


def connect(session: Session, event: inputs.Connect) -> Step:
    """Ring the callee; a caller who was not answered hears his own phone ring back."""
    if session.may_choose or session.arrangements:
        message = "a party is apart, or the call is looked after: wait for the end of that"
        return session, (refusal(event, ErrorCode.COMMAND_IN_PROGRESS, message),)
    if session.adding:
        message = "a party is being added: wait for that, or remove it"
        return session, (refusal(event, ErrorCode.COMMAND_IN_PROGRESS, message),)
    if session.phase is Phase.ANSWERED and CALLER not in session.parties:
        message = "the caller has gone: there is nobody to connect"
        return session, (refusal(event, ErrorCode.INVALID_STATE, message),)
    ring_back = (RingCaller(),) if session.phase is Phase.PENDING else ()
    dial = Dial(event.endpoint, event.ring_seconds)
    ringing = replace(
        session, phase=Phase.RINGING, before_ringing=session.phase, awaiting=event.token
    )
    return ringing, (*ring_back, dial)


def change_mode(session: Session, event: inputs.ChangeMode) -> Step:
    """Let the change take its place in the stream of audio."""
    if session.replaced == AGENT:
        return change_mode_refused(session, event)
    coming = {adding.party for adding in session.adding}
    if unknown := event.mode.targets - session.parties - coming:
        there = ", ".join(sorted(session.parties))
        message = f"whisper to {', '.join(sorted(unknown))}: not on the call; there are: {there}"
        return session, (refusal(event, ErrorCode.BAD_ARGUMENT, message),)
    turnings = (*session.turnings, Turning(event.token, event.mode))
    turn = TurnVoice(event.token, _route_of(session, event.mode), event.cut)
    return replace(session, turnings=turnings), (turn,)


def change_mode_alone(session: Session, event: inputs.ChangeMode) -> Step:
    """Alone with one party the agent is heard by him; unless others are near."""
    return change_mode(session, event) if session.may_choose else refuse_state(session, event)


def finish(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """Let the agent finish, then leave (close, with others who talk) or end the call.

    He takes along whom he was about to add, unless somebody looks after the call.
    """
    message = "the agent ended the call"
    without, effects = (session, ()) if session.kept else give_up_adding(session, message)
    if not without.parties:
        # Who was about to be added was the last one: there is nobody to say a last word to.
        ended, more = end_now(without, event)
        return ended, (*effects, *more)
    too_few = len(without.together) < len(BOTH) and not session.kept
    alone = too_few and without.replaced is None
    finishing = replace(
        without,
        phase=Phase.FINISHING,
        leaving=(*session.leaving, event.token),
        end_for_all=session.end_for_all or alone or isinstance(event, inputs.Disconnect),
        reason=session.reason or _reason(event),
    )
    again = (Converge(finishing.audience),) if finishing.parties != session.parties else ()
    return finishing, (*effects, *again, FinishVoice(event.cut))


def _reason(event: inputs.Close | inputs.Disconnect) -> EndReason | None:
    return event.reason if isinstance(event, inputs.Disconnect) else None


def finish_without_callee(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """Give up the callee who rings or is being joined, then finish."""
    refused, effects = refuse_awaiting(session, ErrorCode.CALL_CLOSED, "the agent ended the call")
    alone = replace(refused, parties=refused.parties & ALONE, heard_by=refused.heard_by & ALONE)
    hang_up = HangUp(CALLEE, HangupCause.NORMAL)
    if session.before_ringing is Phase.PENDING:
        ended, more = end_now(alone, event)
        return ended, (*effects, hang_up, *more)
    finishing, more = finish(alone, event)
    return finishing, (*effects, hang_up, *more)


def end_now(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """End a call that the agent has nothing to say in."""
    refused, effects = refuse_awaiting(session, ErrorCode.CALL_CLOSED, "the agent ended the call")
    reason = session.reason or _reason(event)
    leaving = replace(refused, leaving=(*session.leaving, event.token), reason=reason)
    ended, more = end(leaving, EndReason.AGENT_ENDED, HangupCause.NORMAL)
    return ended, (*effects, *more)


def join_the_end(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """Answer together with the end that is under way."""
    return replace(session, leaving=(*session.leaving, event.token)), ()


def already_done(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """Leaving twice is no error: the end may have come from the other side meanwhile."""
    return session, (Succeed(event.token),)


# --- answering ----------------------------------------------------------------------------------


def caller_answered(session: Session, event: Input) -> Step:
    """Give the caller a bridge and the agent a line to him."""
    del event
    ready = replace(session, parties=ALONE, heard_by=ALONE)
    return ready, (SetRoute(BARGE.route(ready.parties)), Converge(ready.audience))


def answered(session: Session, event: Input) -> Step:
    """The agent and the caller can talk."""
    del event
    if session.parties != ALONE:
        return session, ()
    done, effects = succeed_awaiting(replace(session, phase=Phase.ANSWERED, mode=BARGE))
    return done, (Announce(Notice.ANSWERED), *effects)


def answer_failed(session: Session, event: inputs.AnswerFailed | inputs.AudienceFailed) -> Step:
    """Back to PENDING: the caller may be answered again."""
    refused, effects = refuse_awaiting(session, ErrorCode.REQUEST_FAILED, event.message)
    pending = replace(refused, phase=Phase.PENDING, parties=frozenset(), heard_by=frozenset())
    notice = Announce(Notice.ANSWER_FAILED, message=event.message)
    return pending, (SetRoute(frozenset()), Converge(pending.audience), notice, *effects)


# --- connecting ---------------------------------------------------------------------------------


def callee_answered(session: Session, event: Input) -> Step:
    """Put the callee to the caller; the agent is heard by both."""
    del event
    joining = replace(session, phase=Phase.JOINING)
    if session.before_ringing is Phase.PENDING:
        return joining, (AnswerCaller(),)
    return join_parties(joining, inputs.CallerAnswered())


def join_parties(session: Session, event: Input) -> Step:
    """Both have answered: want both in the bridge."""
    del event
    mode = _unless_replaced(session, AFTER_CONNECT)
    joined = replace(session, parties=BOTH, heard_by=mode.heard_by(BOTH))
    return joined, (Converge(joined.audience),)


def connected(session: Session, event: Input) -> Step:
    """Caller, callee and agent hear each other."""
    del event
    if session.parties != BOTH:
        return session, ()
    mode = _unless_replaced(session, AFTER_CONNECT)
    settled, more = settle(replace(session, phase=Phase.CONNECTED, mode=mode))
    done, effects = succeed_awaiting(settled)
    told = Announce(Notice.CONNECTED, mode=mode)
    return done, (SetRoute(mode.route(BOTH)), told, *effects, *more)


def callee_failed(session: Session, event: inputs.CalleeFailed) -> Step:
    """The callee cannot be had: the call is as it was before."""
    refused, effects = refuse_awaiting(session, event.code, event.message, event.cause)
    back = replace(refused, phase=session.before_ringing)
    # Mostly his leg is gone by itself; one that we gave up is not.
    hang_up = HangUp(CALLEE, HangupCause.NO_ANSWER)
    return back, (hang_up, Announce(Notice.CONNECT_FAILED, message=event.message), *effects)


def join_failed(session: Session, event: Input) -> Step:
    """The callee was there and could not be joined: he is let go, the caller stays."""
    match event:
        case inputs.AudienceFailed(message) | inputs.AnswerFailed(message):
            text = f"the callee answered and could not be joined: {message}"
            code = ErrorCode.REQUEST_FAILED
        case _:
            text = "the callee hung up as he was being joined"
            code = ErrorCode.CALL_FAILED
    refused, effects = refuse_awaiting(session, code, text)
    if isinstance(event, inputs.AudienceFailed):
        refused, more = roll_back(refused, event.message)
        effects = (*effects, *more)
    there = ALONE if session.before_ringing is Phase.ANSWERED else frozenset()
    back = replace(
        refused, phase=session.before_ringing, parties=there, heard_by=refused.heard_by & there
    )
    if there:
        back, more = as_when_alone(back)
        effects = (*effects, *more)
    notice = Announce(Notice.CONNECT_FAILED, message=text)
    hang_up = HangUp(CALLEE, HangupCause.TEMPORARY_FAILURE)
    return back, (hang_up, Converge(back.audience), notice, *effects)


# --- the agent's mode ---------------------------------------------------------------------------


def voice_reached(session: Session, event: inputs.VoiceReached) -> Step:
    """Open the gates of the new mode; those of the old one stay open for what still plays."""
    turning = _turning(session, event)
    if turning is None:
        return session, ()
    wider = replace(session, heard_by=session.heard_by | _heard_by(session, turning.mode))
    return wider, (Converge(wider.audience),)


def voice_settled(session: Session, event: inputs.VoiceSettled) -> Step:
    """Close the gates that the new mode does not need; when they are, it is in effect."""
    turning = _turning(session, event)
    if turning is None:
        return session, ()
    now = replace(
        session,
        heard_by=_heard_by(session, turning.mode),
        turnings=tuple(replace(t, settled=t.settled or t is turning) for t in session.turnings),
    )
    return now, (Converge(now.audience),)


def gates_stand(session: Session, event: Input) -> Step:
    """A mode change whose gates are as they should be is done."""
    del event
    done = [t for t in session.turnings if t.settled]
    rest = tuple(t for t in session.turnings if not t.settled)
    mode = done[-1].mode if done else session.mode
    effects: list[Effect] = []
    for turning in done:
        effects += [Announce(Notice.MODE_CHANGED, mode=turning.mode), Succeed(turning.token)]
    settled, more = settle(replace(session, mode=mode, turnings=rest))
    return settled, (*effects, *more)


def voice_failed(session: Session, event: inputs.VoiceFailed) -> Step:
    """When unsure, silent: every gate closes."""
    turning = _turning(session, event)
    if turning is None:
        return session, ()
    message = f"{event.message}; the agent is silent now"
    undone = [t for t in session.turnings if t is turning or t.settled]
    rest = tuple(t for t in session.turnings if t not in undone)
    silent, effects = _fall_silent(replace(session, turnings=rest), message)
    closing = effects or (Converge(silent.audience),)
    refusals = (Refuse(t.token, ErrorCode.REQUEST_FAILED, message) for t in undone)
    return silent, (*closing, *refusals)


def fail_closed(session: Session, event: inputs.AudienceFailed) -> Step:
    """What stands in Asterisk is not what was wanted: from now on nobody is to hear the agent."""
    before, undone = roll_back(session, event.message)
    if before.phase is not session.phase:
        return before, undone
    again = as_it_was(session, before, undone)
    if before.phase is Phase.ANSWERED and not before.may_choose:
        # Alone with a party the agent is heard by him, come what may.
        return before, (*undone, *again)
    silent, effects = _silence_all(before, event)
    return silent, (*undone, *(() if effects else again), *effects)


def _silence_all(session: Session, event: inputs.AudienceFailed) -> Step:
    message = f"{event.message}; the agent is silent now"
    refusals = tuple(
        Refuse(t.token, ErrorCode.REQUEST_FAILED, message) for t in session.turnings if t.settled
    )
    rest = tuple(t for t in session.turnings if not t.settled)
    silent, effects = _fall_silent(replace(session, turnings=rest), message)
    return silent, (*effects, *refusals)


def _fall_silent(session: Session, message: str) -> Step:
    if session.heard_by == frozenset() and session.mode == SPY:
        return session, ()
    silent = replace(session, mode=SPY, heard_by=frozenset())
    # A mode change that is still under way sets the route, or fails and silences it, by itself.
    route = () if session.turnings else (SetRoute(frozenset()),)
    told = session.mode == SPY
    notice = () if told else (Announce(Notice.MODE_CHANGED, mode=SPY, message=message),)
    return silent, (*route, Converge(silent.audience), *notice)


def mend(session: Session, event: Input) -> Step:
    """Want the same again: the runtime finds what is missing and makes it anew."""
    del event
    return session, (Mend(session.audience),)


# --- leaving and ending -------------------------------------------------------------------------


def voice_finished(session: Session, event: Input) -> Step:
    """The last word was said: leave, or end the call for all."""
    del event
    if session.end_for_all:
        return end(session, EndReason.AGENT_ENDED, HangupCause.NORMAL)
    left, refusals = leave_behind(session, "the agent left")
    if not goes_on(left):
        # Whom the agent had put apart goes with him, and the other one has nobody then.
        ended, effects = end(left, EndReason.AGENT_ENDED, HangupCause.NORMAL)
        return ended, (*refusals, *effects)
    settled, effects = refuse_turnings(replace(left, phase=Phase.LEAVING), "the agent left")
    return settled, (*refusals, *effects, Converge(settled.audience))


def detached(session: Session, event: Input) -> Step:
    """The agent is off the call; should a line of his be left, it is silent and reaped later."""
    joining = any(adding.answered for adding in session.adding)
    if isinstance(event, inputs.AudienceFailed) and (joining or session.arrangements):
        before, undone = roll_back(session, event.message)
        if before.phase is not session.phase:
            return before, undone
        again = (*undone, *as_it_was(session, before, undone))
        if any(isinstance(effect, Converge) for effect in again):
            return before, again
        left, effects = settle(before)
        effects = (*again, *effects)
    else:
        left, effects = settle(session)
    if left.phase is not session.phase:
        return left, effects
    reason = session.reason or EndReason.AGENT_LEFT
    done = replace(left, phase=Phase.DETACHED, leaving=(), reason=reason, mode=SPY, told=True)
    succeeded = tuple(Succeed(token) for token in session.leaving)
    return done, (*effects, Announce(Notice.TERMINATED, reason=reason), *succeeded)


def callee_gone_early(session: Session, event: inputs.PartyGone) -> Step:
    """Who hangs up while ringing or joining: the caller ends the call, the callee the attempt."""
    if event.party == CALLER:
        return over(session, CALLER)
    return join_failed(session, event) if event.party == CALLEE else (session, ())


def only_caller_gone(session: Session, event: inputs.PartyGone) -> Step:
    """There is nobody else: what is heard of one is late."""
    return over(session, CALLER) if event.party == CALLER else (session, ())


def server_lost(session: Session, event: Input) -> Step:
    """Nothing can be said or done on this call any more; should the parties talk, they talk on."""
    del event
    message = "Asterisk is gone, or cannot be reached"
    code = ErrorCode.SERVER_UNREACHABLE
    waiting, effects = refuse_waiting(session, code, message)
    refused, more = refuse_turnings(waiting, message, code)
    ended, most = end(refused, EndReason.SERVER_LOST, None)
    return ended, (*effects, *more, *most)


def torn_down(session: Session, event: Input) -> Step:
    """The call is over and has left nothing behind."""
    del event
    succeeded = tuple(Succeed(token) for token in session.leaving)
    ended = replace(session, phase=Phase.DISCONNECTED, leaving=())
    notice = () if session.told else (Announce(Notice.TERMINATED, reason=session.reason),)
    return ended, (*notice, *succeeded)


# --- shared ---------------------------------------------------------------------------------


def _turning(
    session: Session, event: inputs.VoiceReached | inputs.VoiceSettled | inputs.VoiceFailed
) -> Turning | None:
    return next((t for t in session.turnings if t.token == event.token), None)


def _heard_by(session: Session, mode: ObserverMode) -> frozenset[Participant]:
    return mode.heard_by(session.parties, session.apart)


def _route_of(session: Session, mode: ObserverMode) -> frozenset[Participant]:
    return mode.route(session.parties, session.apart)


def _unless_replaced(session: Session, mode: ObserverMode) -> ObserverMode:
    """Return the agent's mode; somebody who stands in for him silences him."""
    return SPY if session.replaced == AGENT else mode
