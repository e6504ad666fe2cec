"""What follows from an input, stage by stage. Pure: an observer in, the next one and effects out.

When unsure, silent: whatever was wanted and cannot be had, and whoever is replaced while he is
whispered to, leaves the observer a spy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY
from bridge.model.participants import Participant
from bridge.session.effects import FinishVoice, Refuse, SetRoute, Succeed, TurnVoice
from bridge.session.inputs import (
    AudienceFailed,
    ServerLost,
    VoiceFailed,
    VoiceReached,
    VoiceSettled,
)
from bridge.session.observer import inputs
from bridge.session.observer.effects import (
    Arrange,
    ClearAway,
    LeftReason,
    ObserverEffect,
    ObserverNotice,
    Seat,
    Tell,
)
from bridge.session.observer.inputs import ObserverCommand, ObserverInput, Person
from bridge.session.observer.state import Observer, Stage
from bridge.session.state import Turning

Step: TypeAlias = tuple[Observer, tuple[ObserverEffect, ...]]

_NOBODY: frozenset[Participant] = frozenset()


def ignore(observer: Observer, event: ObserverInput) -> Step:
    """Nothing follows: the fact is late, doubled, or speaks of what is over."""
    del event
    return observer, ()


# --- coming -------------------------------------------------------------------------------------


def join(observer: Observer, event: inputs.Join) -> Step:
    """Get his phone, if he is a person; else lay his lines."""
    joining = replace(observer, joining=event.token)
    if observer.seated:
        return replace(joining, stage=Stage.SEATING), (Seat(),)
    return _lay(joining)


def seated(observer: Observer, event: ObserverInput) -> Step:
    """He has picked up."""
    del event
    return _lay(observer)


def _lay(observer: Observer) -> Step:
    laying = replace(observer, stage=Stage.JOINING)
    return laying, (_arranged(laying),)


def seat_failed(observer: Observer, event: inputs.SeatFailed) -> Step:
    """He did not pick up."""
    refused, effects = _refuse_joining(observer, event.code, event.message, event.cause)
    ended, more = _end(refused, LeftReason.NOT_REACHED)
    return ended, (*effects, *more)


def joined(observer: Observer, event: ObserverInput) -> Step:
    """He hears the call."""
    del event
    done = replace(observer, stage=Stage.PRESENT, joining=None)
    succeeded = () if observer.joining is None else (Succeed(observer.joining),)
    return done, (Tell(ObserverNotice.JOINED, mode=SPY), *succeeded)


def join_failed(observer: Observer, event: AudienceFailed) -> Step:
    """He cannot hear the call: he is let go."""
    refused, effects = _refuse_joining(observer, ErrorCode.REQUEST_FAILED, event.message)
    ended, more = _end(refused, LeftReason.FAILED)
    return ended, (*effects, *more)


# --- who takes part -----------------------------------------------------------------------------


def note_people(observer: Observer, event: inputs.PeopleChanged) -> Step:
    """He has no lines yet."""
    return replace(observer, people=_by_role(event.people)), ()


def people_changed(observer: Observer, event: inputs.PeopleChanged) -> Step:
    """Follow the call. Who barges is heard by whoever comes; a whisper is for those it was for."""
    people = _by_role(event.people)
    if people == observer.people:
        return observer, ()
    stay = {role for role, person in people.items() if _same(person, observer.people.get(role))}
    now = replace(observer, people=people, heard_by=observer.heard_by & stay)
    if any(mode.targets - stay for mode in observer.modes):
        return _lose_target(now)
    settled = [turning.mode for turning in observer.turnings if turning.settled]
    coming = [turning.mode for turning in observer.turnings if not turning.settled]
    current = [observer.mode, *settled][-1]
    now = replace(now, heard_by=now.heard_by - (now.apart - observer.apart - current.targets))
    barges = BARGE in (current, *coming)
    if barges and observer.heard_by == observer.parties - observer.apart:
        now = replace(now, heard_by=now.parties - now.apart)
    latest = observer.modes[-1]
    # What a program says from now on is for whoever has come, too.
    is_wider = latest == BARGE and latest.route(*_room(now)) != latest.route(*_room(observer))
    route = (SetRoute(latest.route(*_room(now))),) if is_wider and not now.seated else ()
    return now, (*route, _arranged(now))


def moved(observer: Observer, event: ObserverInput) -> Step:
    """Between two calls nobody hears him, and he hears nobody."""
    del event
    alone = replace(observer, people={}, heard_by=_NOBODY)
    silent, effects = _fall_silent(alone, "he moved to another call")
    return silent, (*effects, Tell(ObserverNotice.MOVED), _arranged(silent))


def _lose_target(observer: Observer) -> Step:
    silent, effects = _fall_silent(observer, "who was whispered to is not on the call any more")
    return silent, (*effects, _arranged(silent))


# --- the mode -----------------------------------------------------------------------------------


def change_mode(observer: Observer, event: inputs.ChangeMode) -> Step:
    """Open and close gates: for a program when its stream of audio has come to that point."""
    unknown = event.mode.targets - observer.parties
    if unknown:
        there = ", ".join(sorted(observer.parties)) or "nobody"
        message = f"nobody on the call is {', '.join(sorted(unknown))}; there is: {there}"
        return observer, (Refuse(event.token, ErrorCode.BAD_ARGUMENT, message),)
    if observer.seated:
        turning = Turning(event.token, event.mode, settled=True)
        heard_by = event.mode.heard_by(*_room(observer))
        now = replace(observer, turnings=(*observer.turnings, turning), heard_by=heard_by)
        return now, (_arranged(now),)
    turning = Turning(event.token, event.mode)
    now = replace(observer, turnings=(*observer.turnings, turning))
    return now, (TurnVoice(event.token, event.mode.route(*_room(observer)), event.cut),)


def voice_reached(observer: Observer, event: VoiceReached) -> Step:
    """Open the gates of the new mode; those of the old one stay open for what still plays."""
    turning = next((t for t in observer.turnings if t.token == event.token), None)
    if turning is None:
        return observer, ()
    wider = replace(observer, heard_by=observer.heard_by | turning.mode.heard_by(*_room(observer)))
    return wider, (_arranged(wider),)


def voice_settled(observer: Observer, event: VoiceSettled) -> Step:
    """Close the gates that the new mode does not need."""
    turning = next((t for t in observer.turnings if t.token == event.token), None)
    if turning is None:
        return observer, ()
    now = replace(
        observer,
        heard_by=turning.mode.heard_by(*_room(observer)),
        turnings=tuple(replace(t, settled=t.settled or t is turning) for t in observer.turnings),
    )
    return now, (_arranged(now),)


def gates_stand(observer: Observer, event: ObserverInput) -> Step:
    """A mode change whose gates are as they should be is done."""
    del event
    done = [turning for turning in observer.turnings if turning.settled]
    rest = tuple(turning for turning in observer.turnings if not turning.settled)
    mode = done[-1].mode if done else observer.mode
    effects: list[ObserverEffect] = []
    for turning in done:
        effects += [Tell(ObserverNotice.MODE_CHANGED, mode=turning.mode), Succeed(turning.token)]
    return replace(observer, mode=mode, turnings=rest), tuple(effects)


def voice_failed(observer: Observer, event: VoiceFailed) -> Step:
    """When unsure, silent."""
    if all(turning.token != event.token for turning in observer.turnings):
        return observer, ()
    silent, effects = _fall_silent(observer, event.message)
    return silent, (*effects, _arranged(silent))


def fail_closed(observer: Observer, event: AudienceFailed) -> Step:
    """What stands in Asterisk is not what was wanted: from now on nobody is to hear him."""
    if not observer.heard_by and observer.mode == SPY and not observer.turnings:
        # There is nothing to close; the runtime looks again by itself.
        return observer, ()
    silent, effects = _fall_silent(observer, event.message)
    return silent, (*effects, _arranged(silent))


def _fall_silent(observer: Observer, why: str) -> Step:
    """Every gate closes, what is on its way is dropped, and who waits for a mode is told."""
    message = f"{why}; {observer.name} is silent now"
    refusals = tuple(
        Refuse(turning.token, ErrorCode.REQUEST_FAILED, message) for turning in observer.turnings
    )
    audible = observer.mode != SPY or bool(observer.turnings)
    silent = replace(observer, mode=SPY, heard_by=_NOBODY, turnings=())
    route = () if observer.seated or not audible else (SetRoute(_NOBODY),)
    told = observer.mode != SPY
    notice = (Tell(ObserverNotice.MODE_CHANGED, mode=SPY, message=message),) if told else ()
    return silent, (*route, *notice, *refusals)


def mend(observer: Observer, event: ObserverInput) -> Step:
    """Want the same again: the runtime finds what is missing and makes it anew."""
    del event
    return observer, (_arranged(observer, mending=True),)


# --- going --------------------------------------------------------------------------------------


def leave(observer: Observer, event: inputs.Leave) -> Step:
    """Say the last word, if there is one, and go."""
    leaving = replace(observer, leaving=(*observer.leaving, event.token))
    if observer.seated:
        return _end(leaving, LeftReason.LEFT)
    return replace(leaving, stage=Stage.FINISHING), (FinishVoice(event.cut),)


def leave_early(observer: Observer, event: inputs.Leave) -> Step:
    """He was not there yet."""
    leaving = replace(observer, leaving=(*observer.leaving, event.token))
    refused, effects = _refuse_joining(leaving, ErrorCode.CALL_CLOSED, "he left")
    ended, more = _end(refused, LeftReason.LEFT)
    return ended, (*effects, *more)


def join_the_end(observer: Observer, event: inputs.Leave) -> Step:
    """Answer together with the end that is under way."""
    return replace(observer, leaving=(*observer.leaving, event.token)), ()


def already_gone(observer: Observer, event: inputs.Leave) -> Step:
    """Leaving twice is no error."""
    return observer, (Succeed(event.token),)


def voice_finished(observer: Observer, event: ObserverInput) -> Step:
    """The last word was said."""
    del event
    return _end(observer, LeftReason.LEFT)


def seat_gone(observer: Observer, event: ObserverInput) -> Step:
    """He hung up."""
    del event
    refused, effects = _refuse_joining(observer, ErrorCode.CALL_CLOSED, "his phone hung up")
    ended, more = _end(refused, LeftReason.HUNG_UP)
    return ended, (*effects, *more)


def call_over(observer: Observer, event: ObserverInput) -> Step:
    """There is nothing to hear any more."""
    del event
    refused, effects = _refuse_joining(observer, ErrorCode.CALL_CLOSED, "the call ended")
    ended, more = _end(refused, LeftReason.CALL_ENDED)
    return ended, (*effects, *more)


def server_lost(observer: Observer, event: ServerLost) -> Step:
    """Nothing can be done any more."""
    del event
    message = "Asterisk is gone, or cannot be reached"
    refused, effects = _refuse_joining(observer, ErrorCode.SERVER_UNREACHABLE, message)
    ended, more = _end(refused, LeftReason.SERVER_LOST)
    return ended, (*effects, *more)


def cleared(observer: Observer, event: ObserverInput) -> Step:
    """Nothing of him is left in Asterisk."""
    del event
    succeeded = tuple(Succeed(token) for token in observer.leaving)
    gone = replace(observer, stage=Stage.GONE, leaving=())
    return gone, (Tell(ObserverNotice.LEFT, reason=observer.reason), *succeeded)


def refuse_absent(observer: Observer, event: ObserverCommand) -> Step:
    """He is not on the call, or not yet."""
    message = f"{observer.name} is not on the call: {observer.reason or observer.stage}"
    gone = observer.stage in {Stage.FINISHING, Stage.ENDING, Stage.GONE}
    code = ErrorCode.CALL_CLOSED if gone else ErrorCode.INVALID_STATE
    return observer, (Refuse(event.token, code, message),)


# --- shared -------------------------------------------------------------------------------------


def _end(observer: Observer, reason: LeftReason) -> Step:
    why = f"{observer.name} left: {reason}"
    refusals = tuple(Refuse(t.token, ErrorCode.CALL_CLOSED, why) for t in observer.turnings)
    ending = replace(
        observer,
        stage=Stage.ENDING,
        reason=reason,
        mode=SPY,
        heard_by=_NOBODY,
        turnings=(),
    )
    return ending, (*refusals, ClearAway())


def _refuse_joining(
    observer: Observer, code: ErrorCode, message: str, cause: int | None = None
) -> Step:
    if observer.joining is None:
        return observer, ()
    refusal = Refuse(observer.joining, code, message, cause)
    return replace(observer, joining=None), (refusal,)


def _arranged(observer: Observer, *, mending: bool = False) -> Arrange:
    return Arrange(observer.wanted, observer.identities, mending)


def _room(observer: Observer) -> tuple[frozenset[Participant], frozenset[Participant]]:
    """Return who takes part, and who of them is apart."""
    return observer.parties, observer.apart


def _by_role(people: tuple[Person, ...]) -> dict[Participant, Person]:
    return {person.role: person for person in people}


def _same(person: Person, before: Person | None) -> bool:
    return before is not None and before.identity == person.identity
