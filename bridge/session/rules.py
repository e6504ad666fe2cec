"""What follows from an input, phase by phase. Pure: a session in, the next one and effects out.

The program is told of an event before the command that it ends returns. Each rule handles the
phases that ``machine.TRANSITIONS`` lists for it, and no other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY
from bridge.model.participants import CALLEE, CALLER
from bridge.model.states import EndReason, HangupCause
from bridge.session import inputs
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
    TearDown,
    TurnVoice,
)
from bridge.session.inputs import Command, Input
from bridge.session.state import AFTER_CONNECT, ALONE, BOTH, Phase, Session, Turning

Step: TypeAlias = tuple[Session, tuple[Effect, ...]]


# --- commands -----------------------------------------------------------------------------------


def answer(session: Session, event: inputs.Answer) -> Step:
    """Begin to answer."""
    return replace(session, phase=Phase.ANSWERING, awaiting=event.token), (AnswerCaller(),)


def connect(session: Session, event: inputs.Connect) -> Step:
    """Ring the callee; a caller who was not answered hears his own phone ring back."""
    ring_back = (RingCaller(),) if session.phase is Phase.PENDING else ()
    dial = Dial(event.endpoint, event.ring_seconds)
    ringing = replace(
        session, phase=Phase.RINGING, before_ringing=session.phase, awaiting=event.token
    )
    return ringing, (*ring_back, dial)


def change_mode(session: Session, event: inputs.ChangeMode) -> Step:
    """Let the change take its place in the stream of audio."""
    turnings = (*session.turnings, Turning(event.token, event.mode))
    route = event.mode.heard_by(session.parties)
    return replace(session, turnings=turnings), (TurnVoice(event.token, route, event.cut),)


def finish(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """Let the agent finish, then leave (close, with the callee there) or end the call."""
    alone = CALLEE not in session.parties
    finishing = replace(
        session,
        phase=Phase.FINISHING,
        leaving=(*session.leaving, event.token),
        end_for_all=session.end_for_all or alone or isinstance(event, inputs.Disconnect),
    )
    return finishing, (FinishVoice(event.cut),)


def finish_without_callee(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """Give up the callee who rings or is being joined, then finish."""
    refused, effects = _refuse_awaiting(session, ErrorCode.CALL_CLOSED, "the agent ended the call")
    alone = replace(refused, parties=refused.parties & ALONE, heard_by=refused.heard_by & ALONE)
    hang_up = HangUp(CALLEE, HangupCause.NORMAL)
    if session.before_ringing is Phase.PENDING:
        ended, more = end_now(alone, event)
        return ended, (*effects, hang_up, *more)
    finishing, more = finish(alone, event)
    return finishing, (*effects, hang_up, *more)


def end_now(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """End a call that the agent has nothing to say in."""
    refused, effects = _refuse_awaiting(session, ErrorCode.CALL_CLOSED, "the agent ended the call")
    leaving = replace(refused, leaving=(*session.leaving, event.token))
    ended, more = _end(leaving, EndReason.AGENT_ENDED, HangupCause.NORMAL)
    return ended, (*effects, *more)


def join_the_end(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """Answer together with the end that is under way."""
    return replace(session, leaving=(*session.leaving, event.token)), ()


def already_done(session: Session, event: inputs.Close | inputs.Disconnect) -> Step:
    """Leaving twice is no error: the end may have come from the other side meanwhile."""
    return session, (Succeed(event.token),)


def refuse_state(session: Session, event: Command) -> Step:
    """The command does not exist in this state."""
    return session, (_refusal(event, ErrorCode.INVALID_STATE, f"not possible: {session.state}"),)


def refuse_busy(session: Session, event: Command) -> Step:
    """Another command has to end first."""
    message = f"{session.phase} is under way; wait for it, or end the call"
    return session, (_refusal(event, ErrorCode.COMMAND_IN_PROGRESS, message),)


def refuse_closed(session: Session, event: Command) -> Step:
    """The agent is not on the call any more."""
    why = session.reason or "the agent is leaving"
    return session, (_refusal(event, ErrorCode.CALL_CLOSED, f"the call is over: {why}"),)


def ignore(session: Session, event: Input) -> Step:
    """Nothing follows: the fact is late, doubled, or speaks of what is over."""
    del event
    return session, ()


# --- answering ----------------------------------------------------------------------------------


def caller_answered(session: Session, event: Input) -> Step:
    """Give the caller a bridge and the agent a line to him."""
    del event
    ready = replace(session, parties=ALONE, heard_by=ALONE)
    return ready, (SetRoute(ALONE), Converge(ready.audience))


def answered(session: Session, event: Input) -> Step:
    """The agent and the caller can talk."""
    del event
    done, effects = _succeed_awaiting(replace(session, phase=Phase.ANSWERED, mode=BARGE))
    return done, (Announce(Notice.ANSWERED), *effects)


def answer_failed(session: Session, event: inputs.AnswerFailed | inputs.AudienceFailed) -> Step:
    """Back to PENDING: the caller may be answered again."""
    refused, effects = _refuse_awaiting(session, ErrorCode.REQUEST_FAILED, event.message)
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
    joined = replace(session, parties=BOTH, heard_by=BOTH)
    return joined, (Converge(joined.audience),)


def connected(session: Session, event: Input) -> Step:
    """Caller, callee and agent hear each other."""
    del event
    now = replace(session, phase=Phase.CONNECTED, mode=AFTER_CONNECT)
    done, effects = _succeed_awaiting(now)
    return done, (SetRoute(BOTH), Announce(Notice.CONNECTED, mode=AFTER_CONNECT), *effects)


def callee_failed(session: Session, event: inputs.CalleeFailed) -> Step:
    """The callee cannot be had: the call is as it was before."""
    refused, effects = _refuse_awaiting(session, event.code, event.message, event.cause)
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
    refused, effects = _refuse_awaiting(session, code, text)
    was_alone = session.before_ringing is Phase.ANSWERED
    parties = ALONE if was_alone else frozenset()
    back = replace(refused, phase=session.before_ringing, parties=parties, heard_by=parties)
    notice = Announce(Notice.CONNECT_FAILED, message=text)
    hang_up = HangUp(CALLEE, HangupCause.TEMPORARY_FAILURE)
    return back, (hang_up, Converge(back.audience), notice, *effects)


# --- the agent's mode ---------------------------------------------------------------------------


def voice_reached(session: Session, event: inputs.VoiceReached) -> Step:
    """Open the gates of the new mode; those of the old one stay open for what still plays."""
    turning = _turning(session, event)
    if turning is None:
        return session, ()
    wider = replace(session, heard_by=session.heard_by | turning.mode.heard_by(session.parties))
    return wider, (Converge(wider.audience),)


def voice_settled(session: Session, event: inputs.VoiceSettled) -> Step:
    """Close the gates that the new mode does not need; when they are, it is in effect."""
    turning = _turning(session, event)
    if turning is None:
        return session, ()
    now = replace(
        session,
        heard_by=turning.mode.heard_by(session.parties),
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
    return replace(session, mode=mode, turnings=rest), tuple(effects)


def voice_failed(session: Session, event: inputs.VoiceFailed) -> Step:
    """When unsure, silent: every gate closes."""
    turning = _turning(session, event)
    if turning is None:
        return session, ()
    rest = tuple(t for t in session.turnings if t is not turning)
    message = f"{event.message}; the agent is silent now"
    silent, effects = _fall_silent(replace(session, turnings=rest), message)
    closing = effects or (Converge(silent.audience),)
    return silent, (*closing, Refuse(turning.token, ErrorCode.REQUEST_FAILED, message))


def fail_closed(session: Session, event: inputs.AudienceFailed) -> Step:
    """What stands in Asterisk is not what was wanted: from now on nobody is to hear the agent."""
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
        return _end(session, EndReason.AGENT_ENDED, HangupCause.NORMAL)
    leaving = replace(session, phase=Phase.LEAVING, heard_by=frozenset())
    settled, effects = _refuse_turnings(leaving, "the agent left")
    return settled, (*effects, Converge(settled.audience))


def detached(session: Session, event: Input) -> Step:
    """The agent is off the call; should a line of his be left, it is silent and reaped later."""
    del event
    done = replace(session, phase=Phase.DETACHED, leaving=(), reason=EndReason.AGENT_LEFT, mode=SPY)
    succeeded = tuple(Succeed(token) for token in session.leaving)
    return done, (Announce(Notice.TERMINATED, reason=EndReason.AGENT_LEFT), *succeeded)


def party_gone(session: Session, event: inputs.PartyGone) -> Step:
    """A call with one party left is over."""
    by_caller = event.party == CALLER
    code = ErrorCode.CALLER_GONE if by_caller else ErrorCode.CALL_CLOSED
    refused, effects = _refuse_awaiting(session, code, f"the {event.party} hung up")
    reason = EndReason.CALLER_HUNG_UP if by_caller else EndReason.CALLEE_HUNG_UP
    ended, more = _end(refused, reason, HangupCause.NORMAL)
    return ended, (*effects, *more)


def callee_gone_early(session: Session, event: inputs.PartyGone) -> Step:
    """Who hangs up while ringing or joining: the caller ends the call, the callee the attempt."""
    if event.party == CALLER:
        return party_gone(session, event)
    return join_failed(session, event)


def only_caller_gone(session: Session, event: inputs.PartyGone) -> Step:
    """There is no callee: what is heard of one is late."""
    return party_gone(session, event) if event.party == CALLER else (session, ())


def server_lost(session: Session, event: Input) -> Step:
    """Nothing can be said or done on this call any more; should the parties talk, they talk on."""
    del event
    message = "Asterisk is gone, or cannot be reached"
    code = ErrorCode.SERVER_UNREACHABLE
    waiting, effects = _refuse_awaiting(session, code, message)
    refused, more = _refuse_turnings(waiting, message, code)
    ended, most = _end(refused, EndReason.SERVER_LOST, None)
    return ended, (*effects, *more, *most)


def torn_down(session: Session, event: Input) -> Step:
    """The call is over and has left nothing behind."""
    del event
    succeeded = tuple(Succeed(token) for token in session.leaving)
    ended = replace(session, phase=Phase.DISCONNECTED, leaving=())
    told = session.reason is EndReason.AGENT_LEFT
    notice = () if told else (Announce(Notice.TERMINATED, reason=session.reason),)
    return ended, (*notice, *succeeded)


# --- shared -------------------------------------------------------------------------------------


def _end(session: Session, reason: EndReason, cause: HangupCause | None) -> Step:
    silent, effects = _refuse_turnings(session, "the call ended")
    ending = replace(
        silent,
        phase=Phase.ENDING,
        reason=session.reason or reason,
        parties=frozenset(),
        heard_by=frozenset(),
        mode=SPY,
    )
    return ending, (*effects, TearDown(cause))


def _refuse_turnings(
    session: Session, message: str, code: ErrorCode = ErrorCode.CALL_CLOSED
) -> Step:
    refusals = tuple(Refuse(t.token, code, message) for t in session.turnings)
    return replace(session, turnings=()), refusals


def _refuse_awaiting(
    session: Session, code: ErrorCode, message: str, cause: int | None = None
) -> Step:
    if session.awaiting is None:
        return session, ()
    refusal = Refuse(session.awaiting, code, message, cause)
    return replace(session, awaiting=None), (refusal,)


def _succeed_awaiting(session: Session) -> Step:
    if session.awaiting is None:
        return session, ()
    return replace(session, awaiting=None), (Succeed(session.awaiting),)


def _turning(
    session: Session, event: inputs.VoiceReached | inputs.VoiceSettled | inputs.VoiceFailed
) -> Turning | None:
    return next((t for t in session.turnings if t.token == event.token), None)


def _refusal(event: Command, code: ErrorCode, message: str) -> Refuse:
    return Refuse(event.token, code, message)
