"""An observer, whatever happens in whatever order: heard by whom he should be, and gone in the end.

The runtime is played by ``Stage``: it carries out effects at once or fails them, and reports facts
late, twice or never, as Hypothesis chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from bridge.model.audibility import Matrix
from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, ObserverMode, whisper
from bridge.model.participants import CALLEE, CALLER, Participant, participant
from bridge.session.effects import FinishVoice, Refuse, Succeed, TurnVoice
from bridge.session.inputs import (
    AudienceFailed,
    AudienceStands,
    EventsMissed,
    LineLost,
    ServerLost,
    Token,
    TornDown,
    VoiceFailed,
    VoiceFinished,
    VoiceReached,
    VoiceSettled,
)
from bridge.session.observer import Observer, inputs, step
from bridge.session.observer.effects import Arrange, ClearAway, ObserverEffect, Seat, Tell
from bridge.session.observer.inputs import ObserverInput, Person
from bridge.session.observer.machine import INPUTS, TRANSITIONS
from bridge.session.observer.state import Stage

NAME = participant("supervisor")
THIRD = participant("party3")
ROLES = [CALLER, CALLEE, THIRD]

modes = st.one_of(
    st.just(SPY),
    st.just(BARGE),
    st.sampled_from([whisper(CALLER), whisper(CALLEE), whisper(CALLER, CALLEE), whisper(THIRD)]),
)
people = st.frozensets(st.sampled_from(ROLES)).flatmap(
    lambda roles: st.tuples(
        *(
            st.builds(
                lambda role, identity, place: Person(
                    role, identity, held=place == "held", apart=place == "apart"
                ),
                st.just(role),
                st.sampled_from(["one", "other"]),
                st.sampled_from(["there", "there", "held", "apart"]),
            )
            for role in sorted(roles)
        )
    )
)


@dataclass
class World:
    """What an observer's effects came to."""

    observer: Observer
    stands: Matrix = frozenset()
    commands: dict[Token, ObserverMode | None] = field(default_factory=dict)
    answered: dict[Token, bool] = field(default_factory=dict)
    wanted_modes: list[ObserverMode] = field(default_factory=lambda: [SPY])
    turning: list[Token] = field(default_factory=list)
    told: list[Tell] = field(default_factory=list)
    seat_asked: bool = False
    finishing: bool = False
    clearing: bool = False
    next_token: int = 1

    def token(self, mode: ObserverMode | None = None) -> Token:
        token = Token(self.next_token)
        self.next_token += 1
        self.commands[token] = mode
        return token

    def take(self, event: ObserverInput, data: st.DataObject) -> None:
        self.observer, out = step(self.observer, event)
        for effect in out:
            self.carry_out(effect, data)
        assert_is_well_formed(self.observer)

    def carry_out(self, effect: ObserverEffect, data: st.DataObject) -> None:
        match effect:
            case Arrange(wanted):
                if data.draw(st.integers(0, 9), label="arranging") > 0:
                    self.stands = wanted.matrix
                    self.take(AudienceStands(), data)
                else:
                    # Gates that were to close may stand; what was to open does not.
                    self.stands &= wanted.matrix
                    self.take(AudienceFailed("refused"), data)
            case TurnVoice(token):
                self.turning.append(token)
            case Seat():
                self.seat_asked = True
            case FinishVoice():
                self.finishing = True
            case ClearAway():
                self.stands = frozenset()
                self.clearing = True
            case Succeed(token):
                self.answer(token, done=True)
            case Refuse(token):
                self.answer(token, done=False)
            case Tell():
                self.told.append(effect)
            case _:
                pass

    def answer(self, token: Token, *, done: bool) -> None:
        assert token not in self.answered, "a command is answered twice"
        self.answered[token] = done


def assert_is_well_formed(observer: Observer) -> None:
    wanted = observer.wanted
    assert wanted.heard_by <= observer.talking | observer.apart
    named = frozenset[Participant]().union(*(mode.targets for mode in observer.modes))
    assert wanted.heard_by & observer.apart <= named, "who is apart was not named"
    assert wanted.hears & observer.apart <= wanted.heard_by
    if not observer.present:
        assert not wanted.heard_by, "who is not on the call is heard"


def draw_input(world: World, data: st.DataObject) -> ObserverInput:
    """Choose what happens next: a command, something out there, or a fact that is due."""
    facts: list[ObserverInput] = [EventsMissed(), LineLost(CALLER), AudienceStands()]
    if world.seat_asked:
        facts += [
            inputs.Seated(),
            inputs.SeatFailed(ErrorCode.CALL_BUSY, "busy"),
            inputs.SeatGone(),
        ]
    for token in world.turning:
        facts += [VoiceReached(token), VoiceSettled(token), VoiceFailed(token, "broken")]
    if world.finishing:
        facts += [VoiceFinished()] * 3
    if world.clearing:
        facts += [TornDown()] * 3
    kind = data.draw(st.integers(0, 9), label="kind")
    if kind < 3:
        mode = data.draw(modes, label="mode")
        return inputs.ChangeMode(world.token(mode), mode, data.draw(st.booleans()))
    if kind < 5:
        return inputs.PeopleChanged(data.draw(people, label="people"))
    if kind == 5:
        rare: list[ObserverInput] = [inputs.Moved(), inputs.CallOver(), ServerLost()]
        rare.append(inputs.Leave(Token(0)))
        return data.draw(st.sampled_from(rare), label="rare")
    return data.draw(st.sampled_from(facts), label="fact")


@given(is_seated=st.booleans(), data=st.data())
def test_he_is_heard_only_by_whom_he_wants_and_ends_with_nothing_left(
    *, is_seated: bool, data: st.DataObject
) -> None:
    world = World(Observer(NAME, seated=is_seated))
    world.take(inputs.PeopleChanged((Person(CALLER, "one"), Person(CALLEE, "one"))), data)
    world.take(inputs.Join(world.token()), data)
    for _ in range(data.draw(st.integers(0, 25), label="length")):
        event = draw_input(world, data)
        if isinstance(event, inputs.Leave):
            event = inputs.Leave(world.token(), cut=data.draw(st.booleans()))
        before = world.observer
        world.take(event, data)
        heard = {party for party, speaker in world.stands if speaker == NAME}
        near = world.observer.talking | before.talking
        assert heard <= near | world.observer.apart | before.apart
        wanted = [before.mode, world.observer.mode, *before.modes, *world.observer.modes]
        if isinstance(event, inputs.ChangeMode):
            wanted.append(event.mode)
        everybody = world.observer.parties | before.parties
        meant: set[Participant] = set()
        for mode in wanted:
            meant |= mode.heard_by(everybody, world.observer.apart & before.apart)
        assert heard <= meant, "somebody hears him for whom no mode was meant"
    for event in (inputs.Seated(), inputs.Leave(world.token()), VoiceFinished(), TornDown()):
        world.take(event, data)
    assert world.observer.stage is Stage.GONE
    assert world.stands == frozenset()
    assert set(world.answered) == set(world.commands), "a command was never answered"
    assert sum(tell.notice == "left" for tell in world.told) == 1


@given(mode=modes, is_seated=st.booleans())
def test_whom_he_whispered_to_is_replaced_and_he_is_silent(
    *, mode: ObserverMode, is_seated: bool
) -> None:
    observer = Observer(
        NAME,
        seated=is_seated,
        stage=Stage.PRESENT,
        people={role: Person(role, "one") for role in ROLES},
        mode=mode,
        heard_by=mode.heard_by(frozenset(ROLES)),
    )
    others = (Person(CALLER, "one"), Person(CALLEE, "other"), Person(THIRD, "one"))
    now, out = step(observer, inputs.PeopleChanged(others))
    if CALLEE in mode.targets:
        assert now.mode == SPY
        assert not now.heard_by
        assert any(isinstance(effect, Tell) for effect in out)
    else:
        assert now.mode == mode
        assert now.heard_by == mode.heard_by(frozenset(ROLES))


@given(mode=modes, is_seated=st.booleans(), apart=st.sampled_from(ROLES))
def test_who_goes_apart_and_comes_back_hears_him_as_the_mode_has_it(
    *, mode: ObserverMode, is_seated: bool, apart: Participant
) -> None:
    everybody = frozenset(ROLES)
    there = tuple(Person(role, "one") for role in ROLES)
    away = tuple(Person(role, "one", apart=role == apart) for role in ROLES)
    observer = Observer(
        NAME,
        seated=is_seated,
        stage=Stage.PRESENT,
        people={person.role: person for person in there},
        mode=mode,
        heard_by=mode.heard_by(everybody),
    )
    now, _ = step(observer, inputs.PeopleChanged(away))
    named = {apart} & mode.targets
    assert now.heard_by == mode.heard_by(everybody, frozenset({apart}))
    assert now.wanted.hears == (everybody - {apart}) | named
    back, _ = step(now, inputs.PeopleChanged(there))
    assert back.heard_by == observer.heard_by
    assert back.wanted == observer.wanted


def test_every_stage_says_what_follows_from_every_input() -> None:
    assert {stage: frozenset(row) for stage, row in TRANSITIONS.items()} == dict.fromkeys(
        Stage, frozenset(INPUTS)
    )


def test_a_whisper_to_somebody_who_is_not_there_is_refused() -> None:
    observer = Observer(NAME, stage=Stage.PRESENT, people={CALLER: Person(CALLER, "one")})
    same, out = step(observer, inputs.ChangeMode(Token(1), whisper(CALLEE)))
    assert same == observer
    (refusal,) = out
    assert isinstance(refusal, Refuse)
    assert "callee" in refusal.message
