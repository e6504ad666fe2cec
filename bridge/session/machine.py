"""The life of a call as data: what may happen in which phase, and which rule follows.

Every phase lists every input; there is no default. A command that a phase does not know is
refused with a typed error and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, TypeVar, cast, get_args

from bridge.session import arrangement, conference, endings, rules, takeover
from bridge.session.effects import Tie
from bridge.session.endings import Step
from bridge.session.inputs import (
    AddParty,
    Answer,
    AnswerFailed,
    Arrange,
    AudienceFailed,
    AudienceStands,
    CalleeAnswered,
    CalleeFailed,
    CallerAnswered,
    ChangeMode,
    Close,
    Connect,
    Disconnect,
    EventsMissed,
    GiveBack,
    HoldParty,
    Input,
    JoinParty,
    LineLost,
    MuteParty,
    PartyAnswered,
    PartyFailed,
    PartyGone,
    RemoveParty,
    ServerLost,
    TakeOver,
    TakerGone,
    TornDown,
    VoiceFailed,
    VoiceFinished,
    VoiceReached,
    VoiceSettled,
)
from bridge.session.state import Phase, Session
from bridge.session.table import completed

Rule: TypeAlias = Callable[[Session, Input], Step]
Row: TypeAlias = tuple[type[Input], Rule]
_I = TypeVar("_I")


def step(session: Session, event: Input) -> Step:
    """Return what ``session`` becomes by ``event``, and the effects that follow, in order."""
    after, effects = TRANSITIONS[session.phase][type(event)](session, event)
    if after.bond != session.bond and not after.phase.is_over:
        # First, so that nobody is released with somebody whom an effect lets go.
        effects = (Tie(after.bond), *effects)
    return after, effects


def _on(kind: type[_I], rule: Callable[[Session, _I], Step]) -> Row:
    """Tie a rule to the input it takes; ``step`` calls it with nothing else."""
    return cast("type[Input]", kind), cast("Rule", rule)


def _ignored(*kinds: type[Input]) -> tuple[Row, ...]:
    return tuple((kind, endings.ignore) for kind in kinds)


_DIALLING_IS_OVER: Final = _ignored(CallerAnswered, AnswerFailed, CalleeAnswered, CalleeFailed)
_VOICE_IS_OVER: Final = _ignored(VoiceReached, VoiceSettled, VoiceFailed)

_NOBODY_IS_ADDED: Final = _ignored(PartyAnswered, PartyFailed)

_AGENT_IS_GONE: Final = (
    _on(Answer, endings.refuse_closed),
    _on(Connect, endings.refuse_closed),
    _on(ChangeMode, endings.refuse_closed),
    _on(MuteParty, endings.refuse_closed),
    _on(HoldParty, endings.refuse_closed),
)
_CALL_IS_GONE: Final = (
    *_AGENT_IS_GONE,
    _on(AddParty, endings.refuse_closed),
    _on(RemoveParty, endings.refuse_closed),
    _on(JoinParty, endings.refuse_closed),
    _on(Arrange, endings.refuse_closed),
    *_NOBODY_IS_ADDED,
)
_LOOKED_AFTER: Final = (
    *_AGENT_IS_GONE,
    _on(AddParty, arrangement.add_party_if_kept),
    _on(RemoveParty, arrangement.remove_party_if_kept),
    _on(JoinParty, arrangement.join_party),
    _on(Arrange, arrangement.arrange),
    _on(PartyAnswered, conference.party_answered),
    _on(PartyFailed, conference.party_failed),
)
_CONFERENCE: Final = (
    _on(AddParty, conference.add_party),
    _on(RemoveParty, conference.remove_party),
    _on(MuteParty, conference.mute_party),
    _on(HoldParty, conference.hold_party),
    _on(JoinParty, arrangement.join_party),
    _on(Arrange, arrangement.arrange),
    _on(PartyAnswered, conference.party_answered),
    _on(PartyFailed, conference.party_failed),
)
_TAKEOVER: Final = (
    _on(TakeOver, takeover.take_over),
    _on(GiveBack, takeover.give_back),
    _on(TakerGone, takeover.taker_gone),
)
_TAKEOVER_LATER: Final = (
    _on(TakeOver, endings.refuse_busy),
    _on(GiveBack, endings.refuse_busy),
    _on(TakerGone, takeover.taker_gone),
)
_TAKEOVER_IS_OVER: Final = (
    _on(TakeOver, endings.refuse_closed),
    _on(GiveBack, endings.refuse_closed),
    *_ignored(TakerGone),
)

_ROWS: Final[Mapping[Phase, tuple[Row, ...]]] = {
    Phase.PENDING: (
        _on(Answer, rules.answer),
        _on(Connect, rules.connect),
        _on(ChangeMode, endings.refuse_state),
        _on(Close, rules.end_now),
        _on(Disconnect, rules.end_now),
        _on(AddParty, endings.refuse_state),
        _on(RemoveParty, endings.refuse_state),
        _on(MuteParty, endings.refuse_state),
        _on(HoldParty, endings.refuse_state),
        _on(JoinParty, endings.refuse_state),
        _on(Arrange, endings.refuse_state),
        _on(TakeOver, endings.refuse_state),
        _on(GiveBack, endings.refuse_state),
        *_NOBODY_IS_ADDED,
        *_ignored(TakerGone),
        *_DIALLING_IS_OVER,
        _on(PartyGone, rules.only_caller_gone),
        *_ignored(AudienceStands, AudienceFailed, LineLost),
        _on(EventsMissed, rules.mend),
        *_VOICE_IS_OVER,
        *_ignored(VoiceFinished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Phase.ANSWERING: (
        _on(Answer, endings.refuse_busy),
        _on(Connect, endings.refuse_busy),
        _on(ChangeMode, endings.refuse_state),
        _on(Close, rules.end_now),
        _on(Disconnect, rules.end_now),
        _on(AddParty, endings.refuse_busy),
        _on(RemoveParty, endings.refuse_busy),
        _on(MuteParty, endings.refuse_busy),
        _on(HoldParty, endings.refuse_busy),
        _on(JoinParty, endings.refuse_busy),
        _on(Arrange, endings.refuse_busy),
        _on(TakeOver, endings.refuse_busy),
        _on(GiveBack, endings.refuse_busy),
        *_NOBODY_IS_ADDED,
        *_ignored(TakerGone),
        _on(CallerAnswered, rules.caller_answered),
        _on(AnswerFailed, rules.answer_failed),
        *_ignored(CalleeAnswered, CalleeFailed),
        _on(PartyGone, rules.only_caller_gone),
        _on(AudienceStands, rules.answered),
        _on(AudienceFailed, rules.answer_failed),
        *_ignored(LineLost, EventsMissed),
        *_VOICE_IS_OVER,
        *_ignored(VoiceFinished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Phase.ANSWERED: (
        _on(Answer, endings.refuse_state),
        _on(Connect, rules.connect),
        _on(ChangeMode, rules.change_mode_alone),
        _on(Close, rules.finish),
        _on(Disconnect, rules.finish),
        *_CONFERENCE,
        *_TAKEOVER,
        *_DIALLING_IS_OVER,
        _on(PartyGone, conference.party_gone),
        _on(AudienceStands, rules.gates_stand),
        _on(AudienceFailed, rules.fail_closed),
        _on(LineLost, rules.mend),
        _on(EventsMissed, rules.mend),
        _on(VoiceReached, rules.voice_reached),
        _on(VoiceSettled, rules.voice_settled),
        _on(VoiceFailed, rules.voice_failed),
        *_ignored(VoiceFinished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Phase.RINGING: (
        _on(Answer, endings.refuse_busy),
        _on(Connect, endings.refuse_busy),
        _on(ChangeMode, endings.refuse_state),
        _on(Close, rules.finish_without_callee),
        _on(Disconnect, rules.finish_without_callee),
        _on(AddParty, endings.refuse_busy),
        _on(RemoveParty, endings.refuse_busy),
        _on(MuteParty, conference.mute_party),
        _on(HoldParty, conference.hold_party),
        _on(JoinParty, endings.refuse_busy),
        _on(Arrange, endings.refuse_busy),
        *_NOBODY_IS_ADDED,
        *_TAKEOVER_LATER,
        *_ignored(CallerAnswered, AnswerFailed),
        _on(CalleeAnswered, rules.callee_answered),
        _on(CalleeFailed, rules.callee_failed),
        _on(PartyGone, rules.callee_gone_early),
        _on(AudienceStands, conference.settled),
        _on(AudienceFailed, conference.rolled_back),
        _on(LineLost, rules.mend),
        _on(EventsMissed, rules.mend),
        *_VOICE_IS_OVER,
        *_ignored(VoiceFinished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Phase.JOINING: (
        _on(Answer, endings.refuse_busy),
        _on(Connect, endings.refuse_busy),
        _on(ChangeMode, endings.refuse_busy),
        _on(Close, rules.finish_without_callee),
        _on(Disconnect, rules.finish_without_callee),
        _on(AddParty, endings.refuse_busy),
        _on(RemoveParty, endings.refuse_busy),
        _on(MuteParty, endings.refuse_busy),
        _on(HoldParty, endings.refuse_busy),
        _on(JoinParty, endings.refuse_busy),
        _on(Arrange, endings.refuse_busy),
        *_NOBODY_IS_ADDED,
        *_TAKEOVER_LATER,
        _on(CallerAnswered, rules.join_parties),
        _on(AnswerFailed, rules.join_failed),
        *_ignored(CalleeAnswered, CalleeFailed),
        _on(PartyGone, rules.callee_gone_early),
        _on(AudienceStands, rules.connected),
        _on(AudienceFailed, rules.join_failed),
        *_ignored(LineLost, EventsMissed),
        *_VOICE_IS_OVER,
        *_ignored(VoiceFinished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Phase.CONNECTED: (
        _on(Answer, endings.refuse_state),
        _on(Connect, endings.refuse_state),
        _on(ChangeMode, rules.change_mode),
        _on(Close, rules.finish),
        _on(Disconnect, rules.finish),
        *_CONFERENCE,
        *_TAKEOVER,
        *_DIALLING_IS_OVER,
        _on(PartyGone, conference.party_gone),
        _on(AudienceStands, rules.gates_stand),
        _on(AudienceFailed, rules.fail_closed),
        _on(LineLost, rules.mend),
        _on(EventsMissed, rules.mend),
        _on(VoiceReached, rules.voice_reached),
        _on(VoiceSettled, rules.voice_settled),
        _on(VoiceFailed, rules.voice_failed),
        *_ignored(VoiceFinished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Phase.FINISHING: (
        *_LOOKED_AFTER,
        _on(Close, rules.finish),
        _on(Disconnect, rules.finish),
        *_TAKEOVER_LATER,
        *_DIALLING_IS_OVER,
        _on(PartyGone, conference.party_gone),
        _on(AudienceStands, rules.gates_stand),
        _on(AudienceFailed, rules.fail_closed),
        _on(LineLost, rules.mend),
        _on(EventsMissed, rules.mend),
        _on(VoiceReached, rules.voice_reached),
        _on(VoiceSettled, rules.voice_settled),
        _on(VoiceFailed, rules.voice_failed),
        _on(VoiceFinished, rules.voice_finished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Phase.LEAVING: (
        *_LOOKED_AFTER,
        _on(Close, rules.join_the_end),
        _on(Disconnect, rules.join_the_end),
        *_TAKEOVER_LATER,
        *_DIALLING_IS_OVER,
        _on(PartyGone, conference.party_gone),
        _on(AudienceStands, rules.detached),
        _on(AudienceFailed, rules.detached),
        *_ignored(LineLost, EventsMissed),
        *_VOICE_IS_OVER,
        *_ignored(VoiceFinished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Phase.DETACHED: (
        *_LOOKED_AFTER,
        _on(Close, rules.already_done),
        _on(Disconnect, rules.already_done),
        *_TAKEOVER,
        *_DIALLING_IS_OVER,
        _on(PartyGone, conference.party_gone),
        _on(AudienceStands, conference.settled),
        _on(AudienceFailed, conference.rolled_back),
        *_ignored(LineLost),
        _on(EventsMissed, rules.mend),
        *_VOICE_IS_OVER,
        *_ignored(VoiceFinished),
        _on(ServerLost, rules.server_lost),
        *_ignored(TornDown),
    ),
    Phase.ENDING: (
        *_CALL_IS_GONE,
        _on(Close, rules.join_the_end),
        _on(Disconnect, rules.join_the_end),
        *_TAKEOVER_IS_OVER,
        *_DIALLING_IS_OVER,
        *_ignored(PartyGone, AudienceStands, AudienceFailed, LineLost, EventsMissed),
        *_VOICE_IS_OVER,
        *_ignored(VoiceFinished, ServerLost),
        _on(TornDown, rules.torn_down),
    ),
    Phase.DISCONNECTED: (
        *_CALL_IS_GONE,
        _on(Close, rules.already_done),
        _on(Disconnect, rules.already_done),
        *_TAKEOVER_IS_OVER,
        *_DIALLING_IS_OVER,
        *_ignored(PartyGone, AudienceStands, AudienceFailed, LineLost, EventsMissed),
        *_VOICE_IS_OVER,
        *_ignored(VoiceFinished, ServerLost, TornDown),
    ),
}


INPUTS: Final[tuple[type[Input], ...]] = get_args(Input)

TRANSITIONS: Final[Mapping[Phase, Mapping[type[Input], Rule]]] = completed(_ROWS, Phase, INPUTS)
"""For every phase and every input the rule that follows."""
