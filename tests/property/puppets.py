"""The pure core on a toy Asterisk: machines, planner and diff do what a script says.

Every engine of the runtime is here a generator that stops after each command, and the dice say who
goes on: so commands of several engines come in any order. Commands may fail, by the dice too.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from bridge.model.modes import BARGE, AudioMode, ObserverMode
from bridge.model.participants import AGENT, Participant
from bridge.runtime.gallery import Member, wanted_of
from bridge.session import Session, effects, inputs
from bridge.session import step as call_step
from bridge.session.inputs import Token
from bridge.session.observer import Observer, Stage
from bridge.session.observer import effects as observer_effects
from bridge.session.observer import inputs as observer_inputs
from bridge.session.observer import step as observer_step
from bridge.session.observer.inputs import Person
from bridge.topology.objects import CALL_BRIDGE, Topology, leg_key
from tests.property.toy_asterisk import ToyAsterisk
from tests.support import script
from tests.support.script import (
    CALLEE,
    CALLER,
    OTHER,
    OTHER_CALLEE,
    OTHER_CALLER,
    OWN,
    Add,
    Arrange,
    Come,
    Drop,
    GiveBack,
    Go,
    Going,
    HangUp,
    Hold,
    Kind,
    Mode,
    Move,
    Mute,
    Op,
    Scene,
    Step,
    TakeOver,
    Taking,
    Turn,
    Watcher,
)

Work: TypeAlias = Generator[None, None, None]
_ON_CALL = {Stage.JOINING, Stage.PRESENT, Stage.FINISHING}


def mode_of(mode: Mode) -> ObserverMode:
    """Return a script's mode as the core has it."""
    return ObserverMode(AudioMode(mode.kind.value), frozenset(map(Participant, mode.to)))


def mode_from(mode: ObserverMode) -> Mode:
    """Return the core's mode as a script has it."""
    return Mode(Kind(mode.mode.value), frozenset(mode.targets))


@dataclass
class Own:
    """The engine of our own call."""

    session: Session = field(default_factory=Session)
    mailbox: deque[inputs.Input] = field(default_factory=deque)


@dataclass
class One:
    """The engine of an observer."""

    observer: Observer
    call: str
    coaching: bool
    mailbox: deque[observer_inputs.ObserverInput] = field(default_factory=deque)
    moves_ahead: int = 0


class Puppets:
    """Plays the steps of a script; ``scene()`` is what the machines say of the present."""

    def __init__(self, dice: random.Random) -> None:
        self.asterisk = ToyAsterisk(dice)
        self.own = Own()
        self.ones: dict[str, One] = {}
        self.refused: list[str] = []
        self._dice = dice
        self._tokens = iter(range(1, 1_000_000))
        self._answers: dict[Token, bool] = {}
        self._works: dict[str, Work] = {}
        self._looks = {OWN: False, OTHER: False}
        self._other = frozenset({OTHER_CALLER, OTHER_CALLEE})
        self._begin()

    def _begin(self) -> None:
        self.asterisk.legs |= {CALLER, *self._other}
        self.asterisk.objects["stranger"] = Topology(
            bridges={CALL_BRIDGE: frozenset(leg_key(Participant(p)) for p in self._other)}
        )
        token = self._token()
        self.own.mailbox.append(inputs.Connect(token, "PJSIP/1002", 60))
        self._settle([])
        assert self._answers[token]

    # --- what is said ---------------------------------------------------------------------------

    def scene(self) -> Scene:
        """Return what the machines say that stands."""
        session = self.own.session
        parties = {str(p): OWN for p in session.parties} if not session.phase.is_over else {}
        observers = {
            name: Watcher(one.call, mode_from(one.observer.mode), one.observer.seated, one.coaching)
            for name, one in self.ones.items()
        }
        agent = session.agent_present and not session.phase.is_over
        standing, there = session.standing, session.standing.takeover
        taking = Taking(there.by, there.from_, mode_from(there.mode)) if there else None
        return Scene(
            {**parties, **dict.fromkeys(self._other, OTHER)},
            mode_from(session.mode) if agent else None,
            observers,
            frozenset(map(str, standing.muted)),
            frozenset(map(str, standing.held)),
            taking,
            frozenset(map(str, standing.apart)),
        )

    # --- playing --------------------------------------------------------------------------------

    def play(self, step: Step) -> None:
        """Do all of a step, in an order of the dice; returns when nothing is left to do."""
        self._settle([self._do(op) for op in step])

    def mend(self) -> None:
        """Look again at everything, and let nothing fail."""
        self.asterisk.failing = 0.0
        self.own.mailbox.append(inputs.EventsMissed())
        for one in self.ones.values():
            one.mailbox.append(inputs.EventsMissed())
        self._looks = dict.fromkeys(self._looks, True)
        self._settle([])

    def _settle(self, doing: list[Work]) -> None:
        while True:
            ready: list[tuple[str, Work | None]] = [("", work) for work in doing]
            ready += [(name, None) for name in self._waiting()]
            ready += list(self._works.items())
            if not ready:
                return
            name, work = self._dice.choice(ready)
            if work is None:
                work = self._works[name] = self._process(name)
            try:
                next(work)
            except StopIteration:
                if name:
                    del self._works[name]
                else:
                    doing.remove(work)

    def _waiting(self) -> Iterator[str]:
        """Return those who have something to do and are not at it."""
        if self.own.mailbox and OWN not in self._works:
            yield OWN
        for name, one in self.ones.items():
            if one.mailbox and name not in self._works:
                yield name
        for call, looked in self._looks.items():
            if looked and f"gallery {call}" not in self._works:
                yield f"gallery {call}"

    def _process(self, name: str) -> Work:
        if name == OWN:
            return self._live_call()
        if name in self.ones:
            return self._live(self.ones[name])
        return self._meet(name.removeprefix("gallery "))

    # --- the engines ----------------------------------------------------------------------------

    def _live_call(self) -> Work:
        own = self.own
        while own.mailbox:
            before = own.session
            own.session, out = call_step(before, own.mailbox.popleft())
            if own.session != before:
                self._call_changed()
            for effect in out:
                yield from self._perform(effect)

    def _perform(self, effect: effects.Effect) -> Work:  # noqa: C901 - a match over a closed union
        post = self.own.mailbox.append
        match effect:
            case effects.AnswerCaller():
                post(inputs.CallerAnswered())
            case effects.Dial(_, _, party):
                self.asterisk.legs.add(party)
                callee = party == CALLEE
                post(inputs.CalleeAnswered() if callee else inputs.PartyAnswered(party))
            case effects.HangUp(party):
                self.asterisk.hang_up(party)
            case effects.Converge(audience) | effects.Mend(audience):
                legs = frozenset(map(str, audience.parties))
                if (yield from self.asterisk.arrange(OWN, audience, legs)):
                    post(inputs.AudienceStands())
                else:
                    post(inputs.AudienceFailed("refused"))
            case effects.TurnVoice(token):
                post(inputs.VoiceReached(token))
                post(inputs.VoiceSettled(token))
            case effects.TearDown():
                for leg in list(self.asterisk.objects.get(OWN, Topology()).legs.values()):
                    self.asterisk.hang_up(leg)
                self.asterisk.clear(OWN)
                post(inputs.TornDown())
                self._over(OWN)
            case effects.Succeed(token):
                self._answers[token] = True
            case effects.Refuse(token):
                self._refuse(token, effect)
            case _:
                pass

    def _live(self, one: One) -> Work:
        while one.mailbox:
            yield from self._take(one, one.mailbox.popleft())

    def _take(  # noqa: C901 - a match over a closed union
        self, one: One, event: observer_inputs.ObserverInput
    ) -> Work:
        one.observer, out = observer_step(one.observer, event)
        one.moves_ahead -= isinstance(event, observer_inputs.Moved)
        self._looks[one.call] = True
        for effect in out:
            match effect:
                case observer_effects.Arrange(wanted, identities):
                    seat = {one.observer.name} if one.observer.seated else set()
                    legs = frozenset({*seat, *(person for _, person in identities)})
                    fact: observer_inputs.ObserverInput
                    fact = inputs.AudienceFailed("refused")
                    if (yield from self.asterisk.arrange(one.observer.name, wanted, legs)):
                        fact = inputs.AudienceStands()
                    yield from self._take(one, fact)
                case observer_effects.Seat():
                    self.asterisk.legs.add(one.observer.name)
                    one.mailbox.append(observer_inputs.Seated())
                case observer_effects.ClearAway():
                    self.asterisk.hang_up(one.observer.name)
                    self.asterisk.clear(one.observer.name)
                    yield from self._take(one, inputs.TornDown())
                case effects.TurnVoice(token):
                    one.mailbox.append(inputs.VoiceReached(token))
                    one.mailbox.append(inputs.VoiceSettled(token))
                case effects.FinishVoice():
                    one.mailbox.append(inputs.VoiceFinished())
                case observer_effects.Tell(observer_effects.ObserverNotice.LEFT):
                    self._left(one)
                case effects.Succeed(token):
                    self._answers[token] = True
                case effects.Refuse(token):
                    self._refuse(token, effect)
                case _:
                    pass

    def _meet(self, call: str) -> Work:
        """Keep the lines between observers of a call as they are wanted."""
        while self._looks[call]:
            self._looks[call] = False
            members = list(self._members(call))
            seats = frozenset(str(m.name) for m in members if m.channel_id is not None)
            yield from self.asterisk.arrange(f"gallery {call}", wanted_of(members), seats)

    def _members(self, call: str) -> Iterator[Member]:
        for name, one in self.ones.items():
            here = one.call == call and not one.moves_ahead
            if here and one.observer.stage in _ON_CALL:
                seat = name if one.observer.seated else None
                yield Member(Participant(name), one.observer.modes, seat, None, one.coaching)
        session = self.own.session
        if call == OWN and session.agent_present:
            yield Member(AGENT, (session.mode, *(turning.mode for turning in session.turnings)))

    # --- who is told what -----------------------------------------------------------------------

    def _people(self, call: str) -> tuple[Person, ...]:
        if call == OTHER:
            return tuple(Person(Participant(p), p) for p in sorted(self._other))
        session = self.own.session
        standing, over = session.standing, session.phase.is_over
        return tuple(
            Person(
                p,
                p,
                held=over or p in standing.held,
                muted=p in standing.silenced,
                apart=p in standing.apart,
            )
            for p in sorted(session.parties)
            if p in self.asterisk.legs
        )

    def _call_changed(self) -> None:
        if self.own.session.phase.is_over:
            return
        for one in self.ones.values():
            if one.call == OWN:
                one.mailbox.append(observer_inputs.PeopleChanged(self._people(OWN)))
        self._looks[OWN] = True

    def _over(self, call: str) -> None:
        for one in self.ones.values():
            if one.call == call:
                one.mailbox.append(observer_inputs.CallOver())

    def _left(self, one: One) -> None:
        name = one.observer.name
        if self.ones.pop(name, None) is not None:
            self._looks[one.call] = True
            if one.call == OWN:
                self.own.mailbox.append(inputs.TakerGone(name))

    def _refuse(self, token: Token, effect: effects.Refuse) -> None:
        self._answers[token] = False
        self.refused.append(effect.message)

    # --- operations -----------------------------------------------------------------------------

    def _do(self, op: Op) -> Work:  # noqa: C901, PLR0912 - a match over a closed union
        match op:
            case Come(name, call, phone, coaching):
                yield from self._come(name, call, phone=phone, coaching=coaching)
            case Turn(script.AI, mode, cut):
                yield from self._command(lambda t: inputs.ChangeMode(t, mode_of(mode), cut))
            case Turn(name, mode, cut) if name in self.ones:
                yield from self._turn(self.ones[name], mode_of(mode), cut=cut)
            case Move(name, call) if name in self.ones:
                yield from self._move(self.ones[name], call)
            case Go(name, how) if name in self.ones:
                yield from self._go(self.ones[name], how)
            case TakeOver(name, replaced) if name in self.ones:
                one = self.ones[name]
                yield from self._give(one, lambda t: observer_inputs.ChangeMode(t, BARGE))
                take = partial(_take_over, by=one.observer.name, from_=Participant(replaced))
                yield from self._command(take)
            case GiveBack(name) if name in self.ones:
                yield from self._turn(self.ones[name], mode_of(script.SPY), cut=False)
            case Mute(party, on):
                yield from self._command(lambda t: inputs.MuteParty(t, Participant(party), on=on))
            case Hold(party, on):
                yield from self._command(lambda t: inputs.HoldParty(t, Participant(party), on=on))
            case Arrange(held, apart, kept):
                places = (frozenset(map(Participant, names)) for names in (held, apart))
                to_hold, to_part = places
                yield from self._command(lambda t: inputs.Arrange(t, to_hold, to_part, kept=kept))
            case Add(party):
                who = Participant(party)
                yield from self._command(lambda t: inputs.AddParty(t, who, "PJSIP/1004", 30))
            case Drop(party, by_himself=False):
                yield from self._command(lambda t: inputs.RemoveParty(t, Participant(party)))
            case Drop(party) | HangUp(script.OWN, party) if party in self.asterisk.legs:
                self.asterisk.hang_up(party)
                self.own.mailbox.append(inputs.PartyGone(Participant(party), 16))
            case HangUp(script.OTHER):
                for party in self._other:
                    self.asterisk.hang_up(party)
                self._other = frozenset()
                self._over(OTHER)
            case _:
                # After a failure its subject may not be there.
                return

    def _come(self, name: str, call: str, *, phone: bool, coaching: bool) -> Work:
        if not self._people(call):
            return
        one = One(Observer(Participant(name), seated=phone), call, coaching)
        self.ones[name] = one
        one.mailbox.append(observer_inputs.PeopleChanged(self._people(call)))
        yield from self._give(one, observer_inputs.Join)

    def _turn(self, one: One, mode: ObserverMode, *, cut: bool) -> Work:
        if mode != BARGE and self.own.session.taken_over_by == one.observer.name:
            yield from self._command(inputs.GiveBack)
        yield from self._give(one, lambda t: observer_inputs.ChangeMode(t, mode, cut))

    def _move(self, one: One, call: str) -> Work:
        if self.own.session.taken_over_by == one.observer.name:
            self.own.mailbox.append(inputs.TakerGone(one.observer.name))
        self._looks = dict.fromkeys(self._looks, True)
        one.call = call
        one.moves_ahead += 1
        one.mailbox.append(observer_inputs.Moved())
        one.mailbox.append(observer_inputs.PeopleChanged(self._people(call)))
        yield from self._give(one, lambda t: observer_inputs.ChangeMode(t, mode_of(script.SPY)))

    def _go(self, one: One, how: Going) -> Work:
        if how is Going.HANGS_UP:
            self.asterisk.hang_up(one.observer.name)
            one.mailbox.append(observer_inputs.SeatGone())
            while one.observer.stage is not Stage.GONE:
                yield
        else:
            cut = how is Going.CUTS
            yield from self._give(one, lambda t: observer_inputs.Leave(t, cut))

    def _command(self, make: Callable[[Token], inputs.Command]) -> Work:
        token = self._token()
        self.own.mailbox.append(make(token))
        while token not in self._answers:
            yield

    def _give(self, one: One, make: Callable[[Token], observer_inputs.ObserverCommand]) -> Work:
        token = self._token()
        one.mailbox.append(make(token))
        while token not in self._answers and one.observer.stage is not Stage.GONE:
            yield

    def _token(self) -> Token:
        return Token(next(self._tokens))


def _take_over(token: Token, *, by: Participant, from_: Participant) -> inputs.TakeOver:
    return inputs.TakeOver(token, by, from_, keep=True)
