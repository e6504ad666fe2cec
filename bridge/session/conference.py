"""More parties than two: added, removed, muted, held. Pure.

A call goes on while two parties are there. With one left it goes on if somebody speaks with him:
the agent who is heard by him, or whoever took the call over. But when the caller or the callee
hangs up and one is left, it is over, as a call of two is; only a caller whose callee was replaced
stays with whom took over. A call with one party and the agent is ANSWERED, whoever it is; with two
it is CONNECTED. Who is apart does not count. And while somebody looks after the call (``kept``) it
goes on as long as anybody is there: see ``arrangement``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from bridge.model.errors import BadArgumentError, ErrorCode
from bridge.model.headers import checked_headers
from bridge.model.modes import BARGE, SPY, ObserverMode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import EndReason, HangupCause
from bridge.session import inputs
from bridge.session.effects import (
    Announce,
    Converge,
    Dial,
    Effect,
    HangUp,
    Notice,
    Refuse,
    SetRoute,
    Succeed,
)
from bridge.session.endings import (
    Step,
    end,
    let_go,
    off_call,
    over,
    refusal,
    refuse_changes,
    refuse_state,
    refuse_turnings,
    succeed,
)
from bridge.session.state import Adding, Change, Phase, Session, Standing

_OF_TAKEOVER = {Notice.TAKEN_OVER, Notice.GIVEN_BACK}
_ALONE_WITH_AGENT = {Phase.ANSWERED, Phase.RINGING}


# --- commands -----------------------------------------------------------------------------------


def add_party(session: Session, event: inputs.AddParty) -> Step:
    """Ring one more; the others talk meanwhile."""
    if is_taken(session, event.party):
        return session, (refuse_name(event),)
    try:
        headers = checked_headers(event.headers)
    except BadArgumentError as error:
        return session, (refusal(event, ErrorCode.BAD_ARGUMENT, str(error)),)
    adding = (*session.adding, Adding(event.token, event.party, apart=event.apart))
    dial = Dial(event.endpoint, event.ring_seconds, event.party, headers)
    return replace(session, adding=adding), (dial,)


def is_taken(session: Session, name: Participant) -> bool:
    """Tell whether a party who is new cannot have a name."""
    taken = {CALLER, CALLEE, AGENT, session.taken_over_by, *session.parties}
    return name in taken | {adding.party for adding in session.adding}


def refuse_name(event: inputs.AddParty | inputs.JoinParty) -> Refuse:
    """Somebody has the name already."""
    message = f"{event.party!r} is taken: give the new party another name"
    return refusal(event, ErrorCode.BAD_ARGUMENT, message)


def remove_party(session: Session, event: inputs.RemoveParty) -> Step:
    """Let somebody go, unless the last one would be left in silence."""
    if any(adding.party == event.party for adding in session.adding):
        failed = inputs.PartyFailed(event.party, ErrorCode.CALL_FAILED, "removed before he joined")
        given_up, effects = party_failed(session, failed)
        return given_up, (*effects, Succeed(event.token))
    if event.party not in session.parties:
        return session, (_no_such(session, event),)
    left, refusals = without(session, event.party, "was removed")
    if not (_enough(left) or _spoken_with(left)):
        message = f"without the {event.party} nobody is left to talk: end the call, or barge first"
        return session, (refusal(event, ErrorCode.INVALID_STATE, message),)
    after, effects = _go_on(left, event.party, HangupCause.NORMAL)
    hang_up = HangUp(event.party, HangupCause.NORMAL)
    return after, (*refusals, hang_up, *effects, Succeed(event.token))


def mute_party(session: Session, event: inputs.MuteParty) -> Step:
    """Let a party be heard by nobody, or by all again."""
    muted = session.standing.muted
    wanted = muted | {event.party} if event.on else muted - {event.party}
    return _change_party(session, event, replace(session.standing, muted=wanted))


def hold_party(session: Session, event: inputs.HoldParty) -> Step:
    """Keep a party apart with music, or bring him back."""
    if event.party in session.apart:
        message = f"the {event.party} is apart from the others: he is held when he has joined them"
        return session, (refusal(event, ErrorCode.INVALID_STATE, message),)
    if session.kept:
        return session, (refuse_kept(event),)
    held = session.standing.held
    wanted = held | {event.party} if event.on else held - {event.party}
    return _change_party(session, event, replace(session.standing, held=wanted))


def refuse_kept(event: inputs.HoldParty | inputs.Arrange) -> Refuse:
    """Who looks after the call says who is held, and knows of nobody else who does."""
    message = "a transfer, or a parking, says who is on hold: wait for its end, or cancel it"
    return refusal(event, ErrorCode.COMMAND_IN_PROGRESS, message)


def _change_party(
    session: Session, event: inputs.MuteParty | inputs.HoldParty, wanted: Standing
) -> Step:
    if not session.parties:
        return refuse_state(session, event)
    joining = any(adding.party == event.party for adding in session.adding)
    if event.party not in session.parties or joining:
        return session, (_no_such(session, event),)
    if isinstance(event, inputs.MuteParty) and event.party == session.replaced:
        message = f"{session.taken_over_by} has taken over from the {event.party}: give back first"
        return session, (refusal(event, ErrorCode.INVALID_STATE, message),)
    if wanted == session.standing and not (session.changes or session.arrangements):
        return session, (Succeed(event.token),)
    change = Change(event.token, Notice.PARTY_CHANGED, event.party)
    changed = replace(session, standing=wanted, changes=(*session.changes, change))
    return changed, (Converge(changed.audience),)


def _no_such(
    session: Session, event: inputs.RemoveParty | inputs.MuteParty | inputs.HoldParty
) -> Refuse:
    there = ", ".join(sorted(session.parties))
    message = f"{event.party!r} is not on the call; there are: {there}"
    return refusal(event, ErrorCode.BAD_ARGUMENT, message)


# --- facts --------------------------------------------------------------------------------------


def party_answered(session: Session, event: inputs.PartyAnswered) -> Step:
    """Put him to the others, or apart; the agent is heard by him if his mode says so."""
    adding = next((a for a in session.adding if a.party == event.party and not a.answered), None)
    if adding is None:
        return session, ()
    party = frozenset({event.party})
    apart = party if adding.apart else frozenset[Participant]()
    listening = gates_of(session).heard_by(party, apart) if session.agent_present else frozenset()
    joining = replace(
        session,
        parties=session.parties | party,
        heard_by=session.heard_by | listening,
        standing=replace(session.standing, apart=session.standing.apart | apart),
        stood=replace(session.stood, apart=session.stood.apart | apart),
        adding=tuple(
            replace(a, answered=a.answered or a.party == event.party) for a in session.adding
        ),
    )
    return joining, (Converge(joining.audience),)


def party_failed(session: Session, event: inputs.PartyFailed) -> Step:
    """He cannot be had: the call is as it was."""
    adding = next((a for a in session.adding if a.party == event.party), None)
    if adding is None:
        return session, ()
    rest = tuple(a for a in session.adding if a is not adding)
    left = replace(off_call(session, frozenset({event.party})), adding=rest)
    # Mostly his leg is gone by itself; one that we gave up is not.
    hang_up = HangUp(event.party, HangupCause.NO_ANSWER)
    refuse = Refuse(adding.token, event.code, event.message, event.cause)
    if not adding.answered:
        return left, (hang_up, refuse)
    after, effects = _as_few_as_are_left(left, event.party)
    return after, (hang_up, refuse, *effects)


def party_gone(session: Session, event: inputs.PartyGone) -> Step:
    """Somebody hung up: the others go on, if they are enough."""
    if event.party not in session.parties:
        return session, ()
    if any(adding.party == event.party for adding in session.adding):
        message = f"{event.party} hung up while being joined"
        failed = inputs.PartyFailed(event.party, ErrorCode.CALL_FAILED, message, event.cause)
        return party_failed(session, failed)
    left, refusals = without(session, event.party, "hung up")
    central = event.party in {CALLER, CALLEE}
    if _enough(left) or (not central and _spoken_with(left)):
        after, effects = _go_on(left, event.party, event.cause)
        return after, (*refusals, *effects)
    ended, effects = over(left, event.party)
    return ended, (*refusals, *effects)


def settle(session: Session) -> Step:
    """What was wanted of parties stands: tell it, and let those go who are to leave."""
    effects: list[Effect] = []
    mode = session.mode
    for change in session.changes:
        mode = mode if change.mode is None else change.mode
        if change.mode is not None:
            effects.append(Announce(Notice.MODE_CHANGED, mode=mode))
        effects.append(Announce(change.notice, party=change.party, by=change.by))
        effects += succeed(change.token)
    joined = frozenset(adding.party for adding in session.adding if adding.answered)
    settled = replace(
        session,
        mode=mode,
        adding=tuple(adding for adding in session.adding if not adding.answered),
        changes=(),
        arrangements=(),
        stood=session.standing,
    )
    if settled.phase is Phase.ANSWERED and len(settled.together - session.going) > 1:
        settled = replace(settled, phase=Phase.CONNECTED)
        effects.append(Announce(Notice.CONNECTED, mode=mode))
    for adding in session.adding:
        if adding.answered:
            effects.append(Announce(Notice.PARTY_JOINED, party=adding.party))
            effects.append(Succeed(adding.token))
    route = _route(settled)
    came = frozenset[Participant]().union(*(each.come for each in session.arrangements))
    come = joined | came - session.standing.apart
    if session.takes_audio and (come & route or (route and mode != session.mode)):
        effects.insert(0, SetRoute(route))
    after, more = _arranged(session, settled)
    return after, (*effects, *more)


def _arranged(session: Session, settled: Session) -> Step:
    """Return what follows when arrangements stand, and whoever is left is left as he is."""
    effects: list[Effect] = []
    changed = [arrangement.changed for arrangement in session.arrangements]
    there = settled.parties & frozenset[Participant]().union(*changed)
    effects += [Announce(Notice.PARTY_CHANGED, party=party) for party in sorted(there)]
    # Nobody could bring back who is apart any more.
    forsaken = not (settled.agent_present or settled.kept)
    going = session.going | (settled.apart if forsaken else frozenset())
    left = settled
    for party in sorted(going):
        left, refusals = without(left, party, "left")
        effects += refusals
    effects += let_go(settled, going)[1]
    after, more = with_few(left) if session.arrangements or going else with_one(left)
    again = after.phase is not Phase.ENDING and after.audience != settled.audience
    last = (Converge(after.audience),) if again else ()
    # At last: who speaks as soon as it is done is heard by whoever is left to him.
    done = (Succeed(arrangement.token) for arrangement in session.arrangements)
    return after, (*effects, *more, *last, *done)


def with_few(session: Session) -> Step:
    """Return a call that nobody looks after any more, when too few are left: as it is with few.

    One is left with the agent, who speaks to him; or with nobody, and the call ends.
    """
    if (session.kept and session.parties) or _enough(session):
        return session, ()
    has_agent = session.replaced is None and session.phase in {Phase.ANSWERED, Phase.CONNECTED}
    if len(session.together) == 1 and (has_agent or _spoken_with(session)):
        if session.phase is Phase.FINISHING and session.replaced is None:
            return replace(session, end_for_all=True), ()
        return with_one(session)
    return end(session, EndReason.NOBODY_LEFT, HangupCause.NORMAL)


def settled(session: Session, event: inputs.AudienceStands) -> Step:
    """What was wanted stands."""
    del event
    return settle(session)


def roll_back(session: Session, message: str) -> Step:
    """What was wanted does not stand: who was joining is let go, the rest as it last stood.

    But to whom nobody commanded it, it has happened: whoever had taken over is not there any more.
    Nor does anybody take over again from the one who is left with nobody else.
    """
    joining = [adding for adding in session.adding if adding.answered]
    facts = [change for change in session.changes if change.token is None]
    stood = replace(session.stood, takeover=None) if facts else session.stood
    before = replace(
        session,
        adding=tuple(adding for adding in session.adding if not adding.answered),
        heard_by=listeners(session, session.apart, stood.apart & session.parties),
        standing=stood,
        stood=stood,
        changes=(),
        arrangements=(),
    )
    before = off_call(before, frozenset(adding.party for adding in joining))
    effects: list[Effect] = [Announce(c.notice, party=c.party, by=c.by) for c in facts]
    there = before.standing.takeover
    if there is not None and _nobody_for_taker(before):
        before = without_taker(before)
        effects.append(Announce(Notice.GIVEN_BACK, party=there.from_, by=there.by))
    if session.turnings and session.takes_audio and session.apart != before.apart:
        # The agent's next words are for whom his next mode means, as they are placed now.
        effects.append(SetRoute(_route(before)))
    if session.phase in _ALONE_WITH_AGENT and before.parties and not before.may_choose:
        before, more = as_when_alone(before)
        effects += more
    for adding in joining:
        effects.append(HangUp(adding.party, HangupCause.TEMPORARY_FAILURE))
        effects.append(Refuse(adding.token, ErrorCode.REQUEST_FAILED, message))
    for undoing in (session.changes, session.arrangements):
        effects += refuse_changes(undoing, ErrorCode.REQUEST_FAILED, message)
    undone = session.agent_present and session.replaced == AGENT and before.replaced is None
    if undone and len(before.together) == 1 and not before.kept:
        # The others left while somebody was about to take over: only the agent can speak now.
        before = replace(before, heard_by=before.heard_by | before.together)
    elif (session.kept or session.arrangements) and not before.kept:
        # The others may have left while it was looked after, or was about to be.
        after, more = with_few(before)
        return after, (*effects, *more)
    elif not joining:
        return before, tuple(effects)
    gone_last = joining[0].party if joining else AGENT
    after, more = _as_few_as_are_left(before, gone_last)
    return after, (*effects, *more)


def as_when_alone(session: Session) -> Step:
    """Alone with a party the agent is heard, unless somebody stands in for him; no choice there."""
    free, refusals = refuse_turnings(session, "the agent is heard by whoever he is alone with")
    mode = SPY if session.replaced == AGENT else BARGE
    heard_by = mode.heard_by(session.parties)
    if (mode, heard_by) == (session.mode, session.heard_by) and not session.turnings:
        return session, ()
    alone = replace(free, mode=mode, heard_by=heard_by)
    told = () if mode == session.mode else (Announce(Notice.MODE_CHANGED, mode=mode),)
    return alone, (*refusals, SetRoute(mode.route(session.parties)), *told)


def rolled_back(session: Session, event: inputs.AudienceFailed) -> Step:
    """Back to what stood before, where the agent's part is not in question."""
    before, effects = roll_back(session, event.message)
    return before, (*effects, *as_it_was(session, before, effects))


def as_it_was(session: Session, before: Session, effects: Collection[Effect]) -> tuple[Effect, ...]:
    """Return what makes a call stand again as it did, unless that is among the effects."""
    told = before.phase is Phase.ENDING or any(isinstance(e, Converge) for e in effects)
    return () if told or before.audience == session.audience else (Converge(before.audience),)


# --- shared -------------------------------------------------------------------------------------


def without(session: Session, party: Participant, why: str) -> Step:
    """Return a call that ``party`` has left; what was under way for him is refused.

    Should somebody be about to take over from him, that is done with it.
    """
    his = tuple(change for change in session.changes if change.party == party)
    taken = [change for change in his if change.notice is Notice.TAKEN_OVER]
    undone = [change for change in his if change not in taken]
    standing = session.standing.without(party)
    stood = session.stood.without(party)
    if any(change.notice in _OF_TAKEOVER for change in his):
        stood = replace(stood, takeover=standing.takeover)
    left = replace(
        session,
        parties=session.parties - {party},
        heard_by=session.heard_by - {party},
        standing=standing,
        stood=stood,
        changes=tuple(change for change in session.changes if change.party != party),
    )
    effects = list(refuse_changes(undone, ErrorCode.INVALID_STATE, f"the {party} {why}"))
    for change in taken:
        effects.append(Announce(change.notice, party=party, by=change.by))
        effects += succeed(change.token)
    return left, tuple(effects)


def without_taker(session: Session) -> Session:
    """Return a call in which nobody stands in for anybody."""
    return replace(
        session,
        standing=replace(session.standing, takeover=None),
        stood=replace(session.stood, takeover=None),
    )


def _nobody_for_taker(session: Session) -> bool:
    return session.replaced not in {None, AGENT} and not (session.talking or session.kept)


def left_alone(session: Session) -> bool:
    """Tell whether nobody would talk, were nobody standing in for anybody."""
    free = replace(session, standing=replace(session.standing, takeover=None))
    return not (_enough(free) or _spoken_with(free))


def _enough(session: Session) -> bool:
    """Two parties talk, or the caller and whoever stands in for one; or somebody keeps the call."""
    if session.kept:
        return bool(session.parties)
    if len(session.talking) > 1:
        return True
    return session.replaced not in {None, AGENT} and CALLER in session.talking


def goes_on(session: Session) -> bool:
    """Whether whoever is left has somebody to talk with."""
    return _enough(session) or _spoken_with(session)


def _spoken_with(session: Session) -> bool:
    """One party is left, and hears the agent or whoever stands in for him.

    Alone with somebody the agent speaks to him, though he may be whispering to one apart just now.
    """
    if len(session.together) != 1:
        return False
    if session.replaced is not None:
        return session.together <= session.talking
    return session.phase in _ALONE_WITH_AGENT or session.together <= session.heard_by


def _as_few_as_are_left(session: Session, gone: Participant) -> Step:
    """Go on without one who was just joining, though others may have left meanwhile."""
    if not goes_on(session):
        return over(session, gone)
    after, effects = with_one(session)
    return after, (Converge(after.audience), *effects)


def _go_on(session: Session, gone: Participant, cause: int) -> Step:
    """Go on without somebody; one party who is left with the agent hears him."""
    told = Announce(Notice.PARTY_LEFT, party=gone, cause=cause)
    if session.phase is Phase.FINISHING and session.replaced is None and not _enough(session):
        session = replace(session, end_for_all=True)
    after, effects = with_one(session)
    return after, (Converge(after.audience), told, *effects)


def with_one(session: Session) -> Step:
    """Return to ANSWERED when the agent and one party are left, who talk with each other."""
    alone = len(session.together) == 1 and not session.kept and session.replaced is None
    if not alone or session.phase not in {Phase.CONNECTED, Phase.ANSWERED}:
        return session, ()
    if session.phase is Phase.ANSWERED and (session.apart or _is_heard(session)):
        return session, ()
    free, refusals = refuse_turnings(
        session, "one party is left, and hears the agent", ErrorCode.INVALID_STATE
    )
    now = replace(free, phase=Phase.ANSWERED, mode=BARGE, heard_by=session.together)
    told = () if session.mode == BARGE else (Announce(Notice.MODE_CHANGED, mode=BARGE),)
    return now, (*refusals, SetRoute(BARGE.route(now.parties, now.apart)), *told)


def _is_heard(session: Session) -> bool:
    return session.mode == BARGE and session.heard_by == session.parties and not session.turnings


def gates_of(session: Session) -> ObserverMode:
    """Return the mode whose gates are wanted now, though it may not be in effect yet."""
    changed = [change.mode for change in session.changes if change.mode is not None]
    turned = [turning.mode for turning in session.turnings if turning.settled]
    return [session.mode, *turned, *changed][-1]


def listeners(
    session: Session, before: frozenset[Participant], after: frozenset[Participant]
) -> frozenset[Participant]:
    """Return who hears the agent when ``after`` are apart instead of ``before``."""
    if not session.agent_present:
        return session.heard_by
    mode = gates_of(session)
    return (session.heard_by | mode.heard_by(before - after)) - (after - before - mode.targets)


def _route(session: Session) -> frozenset[Participant]:
    """Return whom the agent speaks to once all mode changes under way are done."""
    mode = session.turnings[-1].mode if session.turnings else session.mode
    return mode.route(session.parties, session.apart)
