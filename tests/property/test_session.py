"""The life of a call: whatever happens, in whatever order, it ends once and answers everybody."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER
from bridge.model.states import CallState
from bridge.session import Phase, Session, inputs, step
from bridge.session.effects import Announce, Converge, Effect, Notice, Refuse, Succeed, TearDown
from bridge.session.inputs import Input, Token
from bridge.session.machine import INPUTS, TRANSITIONS

NO_TOKEN = Token(0)
MODES = st.sampled_from([SPY, BARGE, whisper(CALLEE), whisper(CALLER), whisper(CALLER, CALLEE)])

COMMANDS: st.SearchStrategy[Input] = st.one_of(
    st.just(inputs.Answer(NO_TOKEN)),
    st.just(inputs.Connect(NO_TOKEN, "PJSIP/1002", 60)),
    st.builds(inputs.ChangeMode, st.just(NO_TOKEN), MODES, st.booleans()),
    st.builds(inputs.Close, st.just(NO_TOKEN), st.booleans()),
    st.builds(inputs.Disconnect, st.just(NO_TOKEN), st.booleans()),
)
FACTS: st.SearchStrategy[Input] = st.one_of(
    st.just(inputs.CallerAnswered()),
    st.just(inputs.AnswerFailed("refused")),
    st.just(inputs.CalleeAnswered()),
    st.just(inputs.CalleeFailed(ErrorCode.CALL_BUSY, "busy", 17)),
    st.builds(inputs.PartyGone, st.sampled_from([CALLER, CALLEE]), st.just(16)),
    st.just(inputs.AudienceStands()),
    st.just(inputs.AudienceFailed("refused")),
    st.builds(inputs.LineLost, st.sampled_from([CALLER, CALLEE])),
    st.just(inputs.EventsMissed()),
    st.builds(inputs.VoiceReached, st.integers(1, 8).map(Token)),
    st.builds(inputs.VoiceSettled, st.integers(1, 8).map(Token)),
    st.builds(inputs.VoiceFailed, st.integers(1, 8).map(Token), st.just("broken")),
    st.just(inputs.VoiceFinished()),
    st.just(inputs.ServerLost()),
    st.just(inputs.TornDown()),
)
PROGRESS: st.SearchStrategy[Input] = st.sampled_from(
    [
        inputs.Answer(NO_TOKEN),
        inputs.CallerAnswered(),
        inputs.AudienceStands(),
        inputs.Connect(NO_TOKEN, "PJSIP/1002", 60),
        inputs.CalleeAnswered(),
    ]
)
HAPPY: list[Input] = [
    inputs.Answer(NO_TOKEN),
    inputs.CallerAnswered(),
    inputs.AudienceStands(),
    inputs.Connect(NO_TOKEN, "PJSIP/1002", 60),
    inputs.CalleeAnswered(),
    inputs.AudienceStands(),
    inputs.ChangeMode(NO_TOKEN, whisper()),
    inputs.VoiceReached(Token(3)),
    inputs.AudienceStands(),
    inputs.Close(NO_TOKEN),
    inputs.VoiceFinished(),
    inputs.AudienceStands(),
]
LIVES = st.builds(
    lambda begun, then: HAPPY[:begun] + then,
    st.integers(0, len(HAPPY)),
    st.lists(st.one_of(PROGRESS, COMMANDS, FACTS), max_size=30),
)
"""A call that went well up to some point, and then anything."""
TALKS = st.builds(
    lambda then: HAPPY[:6] + then,
    st.lists(
        st.one_of(
            st.builds(inputs.ChangeMode, st.just(NO_TOKEN), MODES, st.booleans()),
            st.builds(inputs.VoiceReached, st.integers(3, 8).map(Token)),
            st.builds(inputs.VoiceSettled, st.integers(3, 8).map(Token)),
            st.just(inputs.AudienceStands()),
            st.just(inputs.AudienceFailed("refused")),
        ),
        max_size=12,
    ),
)
"""A connected call in which the agent changes his mode, or tries to."""


@dataclass
class Life:
    """A session with everything that came out of it."""

    session: Session = field(default_factory=Session)
    effects: list[Effect] = field(default_factory=list)
    asked: list[Token] = field(default_factory=list)

    def feed(self, event: Input) -> tuple[Effect, ...]:
        if isinstance(event, _COMMANDS):
            token = Token(len(self.asked) + 1)
            self.asked.append(token)
            event = _with_token(event, token)
        self.session, effects = step(self.session, event)
        self.effects += effects
        return effects

    def end(self) -> None:
        for event in (inputs.PartyGone(CALLER, 16), inputs.TornDown()):
            self.feed(event)

    def answers(self) -> Counter[Token]:
        return Counter(e.token for e in self.effects if isinstance(e, Succeed | Refuse))


_COMMANDS = (
    inputs.Answer,
    inputs.Connect,
    inputs.ChangeMode,
    inputs.Close,
    inputs.Disconnect,
)


def _with_token(event: Input, token: Token) -> Input:
    match event:
        case inputs.Answer():
            return inputs.Answer(token)
        case inputs.Connect(_, endpoint, seconds):
            return inputs.Connect(token, endpoint, seconds)
        case inputs.ChangeMode(_, mode, cut):
            return inputs.ChangeMode(token, mode, cut)
        case inputs.Close(_, cut):
            return inputs.Close(token, cut)
        case inputs.Disconnect(_, cut):
            return inputs.Disconnect(token, cut)
        case fact:
            return fact


def live(events: list[Input]) -> Life:
    life = Life()
    for event in events:
        life.feed(event)
    return life


@settings(max_examples=1000)
@given(LIVES)
def test_every_life_ends_disconnected_and_answers_every_command_once(events: list[Input]) -> None:
    life = live(events)
    life.end()
    assert life.session.state is CallState.DISCONNECTED
    assert life.session.phase is Phase.DISCONNECTED
    assert life.answers() == Counter(life.asked)


@settings(max_examples=1000)
@given(LIVES)
def test_it_is_torn_down_once_and_its_end_told_once(events: list[Input]) -> None:
    life = live(events)
    life.end()
    assert sum(isinstance(e, TearDown) for e in life.effects) == 1
    ends = [e for e in life.effects if isinstance(e, Announce) and e.notice is Notice.TERMINATED]
    assert len(ends) == 1
    assert ends[0].reason is not None


@settings(max_examples=500)
@given(LIVES)
def test_only_parties_on_the_call_hear_the_agent(events: list[Input]) -> None:
    life = Life()
    for event in events:
        life.feed(event)
        assert life.session.heard_by <= life.session.parties


@settings(max_examples=500)
@given(LIVES, COMMANDS)
def test_an_illegal_command_changes_nothing(events: list[Input], command: Input) -> None:
    life = live(events)
    before = life.session
    effects = life.feed(command)
    illegal = {ErrorCode.INVALID_STATE, ErrorCode.COMMAND_IN_PROGRESS}
    if any(isinstance(e, Refuse) and e.code in illegal for e in effects):
        assert life.session == before
        assert len(effects) == 1


@settings(max_examples=500)
@given(TALKS)
def test_after_a_failed_mode_change_nobody_hears_the_agent(events: list[Input]) -> None:
    life = live(events)
    assert life.session.phase is Phase.CONNECTED
    life.feed(inputs.ChangeMode(NO_TOKEN, BARGE))
    effects = life.feed(inputs.VoiceFailed(life.asked[-1], "broken"))
    wanted = [e.audience for e in effects if isinstance(e, Converge)]
    assert wanted[-1].heard_by == ((AGENT, frozenset()),)
    assert life.session.mode == SPY


def test_a_call_that_goes_well_passes_through_every_phase_but_those_of_its_end() -> None:
    life, seen = Life(), {Phase.PENDING}
    for event in HAPPY:
        life.feed(event)
        seen.add(life.session.phase)
    assert set(Phase) - seen == {Phase.ENDING, Phase.DISCONNECTED}


def test_every_phase_knows_every_input() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert all(set(row) == set(INPUTS) for row in TRANSITIONS.values())


def test_the_life_of_the_seeds() -> None:
    life = live(
        [
            inputs.Answer(NO_TOKEN),
            inputs.CallerAnswered(),
            inputs.AudienceStands(),
            inputs.Connect(NO_TOKEN, "PJSIP/1002", 60),
            inputs.CalleeAnswered(),
            inputs.AudienceStands(),
        ]
    )
    assert life.session.state is CallState.CONNECTED
    assert life.session.mode == BARGE
    life.feed(inputs.ChangeMode(NO_TOKEN, whisper()))
    token = life.asked[-1]
    life.feed(inputs.VoiceReached(token))
    assert life.session.heard_by == {CALLER, CALLEE}, "what was sent for both still plays"
    life.feed(inputs.VoiceSettled(token))
    assert life.session.heard_by == {CALLEE}
    life.feed(inputs.Close(NO_TOKEN))
    life.feed(inputs.VoiceFinished())
    life.feed(inputs.AudienceStands())
    assert life.session.phase is Phase.DETACHED
    assert not any(isinstance(e, TearDown) for e in life.effects), "the parties talk on"
    life.feed(inputs.PartyGone(CALLEE, 16))
    assert any(isinstance(e, TearDown) for e in life.effects)


def test_a_connect_that_fails_leaves_the_call_as_it_was() -> None:
    life = live([inputs.Answer(NO_TOKEN), inputs.CallerAnswered(), inputs.AudienceStands()])
    before = life.session
    life.feed(inputs.Connect(NO_TOKEN, "PJSIP/1002", 60))
    effects = life.feed(inputs.CalleeFailed(ErrorCode.CALL_UNANSWERED, "no answer", 19))
    assert life.session.phase is before.phase
    assert life.session.audience == before.audience
    assert Refuse(life.asked[-1], ErrorCode.CALL_UNANSWERED, "no answer", 19) in effects


def test_leaving_a_call_that_has_ended_is_no_error() -> None:
    life = Life()
    life.end()
    assert life.feed(inputs.Disconnect(NO_TOKEN)) == (Succeed(life.asked[-1]),)
