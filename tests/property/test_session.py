"""The life of a call: whatever happens, in whatever order, it ends once and answers everybody."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import CallState
from bridge.session import Phase, Session, inputs, step
from bridge.session.effects import (
    Announce,
    Bond,
    Converge,
    Effect,
    Notice,
    Refuse,
    Succeed,
    TearDown,
)
from bridge.session.inputs import Input, Token
from bridge.session.machine import INPUTS, TRANSITIONS
from bridge.topology.diff import diff
from bridge.topology.planner import plan

NO_TOKEN = Token(0)
EXPERT, FRIEND = Participant("expert"), Participant("friend")
BOSS, OTHER_BOSS = Participant("boss"), Participant("other_boss")
PEOPLE = st.sampled_from([CALLER, CALLEE, EXPERT, FRIEND])
BOSSES = st.sampled_from([BOSS, OTHER_BOSS])
MODES = st.sampled_from([SPY, BARGE, whisper(CALLEE), whisper(CALLER), whisper(CALLER, CALLEE)])

COMMANDS: st.SearchStrategy[Input] = st.one_of(
    st.just(inputs.Answer(NO_TOKEN)),
    st.just(inputs.Connect(NO_TOKEN, "PJSIP/1002", 60)),
    st.builds(inputs.ChangeMode, st.just(NO_TOKEN), MODES, st.booleans()),
    st.builds(inputs.Close, st.just(NO_TOKEN), st.booleans()),
    st.builds(inputs.Disconnect, st.just(NO_TOKEN), st.booleans()),
)
CONFERENCE: st.SearchStrategy[Input] = st.one_of(
    st.builds(
        inputs.AddParty,
        st.just(NO_TOKEN),
        st.sampled_from([EXPERT, FRIEND, CALLEE]),
        st.just("PJSIP/1003"),
        st.just(30),
        st.booleans(),
    ),
    st.builds(inputs.RemoveParty, st.just(NO_TOKEN), PEOPLE),
    st.builds(inputs.MuteParty, st.just(NO_TOKEN), PEOPLE, st.booleans()),
    st.builds(inputs.HoldParty, st.just(NO_TOKEN), PEOPLE, st.booleans()),
    st.builds(inputs.PartyAnswered, PEOPLE),
    st.builds(
        inputs.PartyFailed, PEOPLE, st.just(ErrorCode.CALL_BUSY), st.just("busy"), st.just(17)
    ),
    st.builds(inputs.PartyGone, PEOPLE, st.just(16)),
)
SOME = st.frozensets(PEOPLE, max_size=2)
ARRANGEMENTS: st.SearchStrategy[Input] = st.one_of(
    st.builds(inputs.Arrange, st.just(NO_TOKEN), SOME, SOME, SOME, st.booleans()),
    st.builds(
        inputs.JoinParty, st.just(NO_TOKEN), st.sampled_from([EXPERT, FRIEND]), st.booleans()
    ),
    st.just(inputs.AudienceStands()),
    st.just(inputs.AudienceFailed("refused")),
)
TAKEOVERS: st.SearchStrategy[Input] = st.one_of(
    st.builds(
        inputs.TakeOver,
        st.just(NO_TOKEN),
        BOSSES,
        st.sampled_from([AGENT, CALLEE, CALLER, EXPERT]),
        st.booleans(),
    ),
    st.builds(inputs.GiveBack, st.just(NO_TOKEN), st.one_of(st.none(), BOSSES)),
    st.builds(inputs.TakerGone, BOSSES),
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
THREE: list[Input] = [
    *HAPPY[:6],
    inputs.AddParty(NO_TOKEN, EXPERT, "PJSIP/1003", 30),
    inputs.PartyAnswered(EXPERT),
    inputs.AudienceStands(),
]
TAKEN: list[Input] = [
    *HAPPY[:3],
    inputs.TakeOver(NO_TOKEN, BOSS, AGENT, keep=True),
    inputs.AudienceStands(),
]
REPLACED: list[Input] = [
    *THREE,
    inputs.TakeOver(NO_TOKEN, BOSS, CALLEE, keep=True),
    inputs.AudienceStands(),
]
OFFERED: list[Input] = [
    *HAPPY[:3],
    inputs.Arrange(NO_TOKEN, held=frozenset({CALLER}), kept=True),
    inputs.AudienceStands(),
    inputs.AddParty(NO_TOKEN, EXPERT, "PJSIP/1003", 30, apart=True),
    inputs.PartyAnswered(EXPERT),
    inputs.AudienceStands(),
]
CONSULTING: list[Input] = [
    *HAPPY[:6],
    inputs.AddParty(NO_TOKEN, EXPERT, "PJSIP/1003", 30, apart=True),
    inputs.PartyAnswered(EXPERT),
    inputs.AudienceStands(),
    inputs.Arrange(NO_TOKEN, held=frozenset({CALLER}), kept=True),
    inputs.AudienceStands(),
]
LIVES = st.builds(
    lambda begun, then: begun + then,
    st.one_of(
        st.integers(0, len(HAPPY)).map(lambda count: HAPPY[:count]),
        st.sampled_from([THREE, TAKEN, REPLACED, OFFERED, CONSULTING]),
    ),
    st.lists(
        st.one_of(PROGRESS, COMMANDS, FACTS, CONFERENCE, ARRANGEMENTS, TAKEOVERS), max_size=40
    ),
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


def is_command(event: Input) -> bool:
    return isinstance(event, _COMMANDS)


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
            event = replace(event, token=token)
        self.session, effects = step(self.session, event)
        self.effects += effects
        return effects

    def end(self) -> None:
        for party in sorted({CALLER, *self.session.parties}):
            self.feed(inputs.PartyGone(party, 16))
        self.feed(inputs.TornDown())

    def answers(self) -> Counter[Token]:
        return Counter(e.token for e in self.effects if isinstance(e, Succeed | Refuse))


_COMMANDS = (
    inputs.Answer,
    inputs.Connect,
    inputs.ChangeMode,
    inputs.Close,
    inputs.Disconnect,
    inputs.AddParty,
    inputs.JoinParty,
    inputs.RemoveParty,
    inputs.MuteParty,
    inputs.HoldParty,
    inputs.Arrange,
    inputs.TakeOver,
    inputs.GiveBack,
)


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
def test_what_is_wanted_can_always_be_planned(events: list[Input]) -> None:
    life = Life()
    for event in events:
        life.feed(event)
        topology = plan(life.session.audience)
        assert diff(topology, topology) == ()


@settings(max_examples=1000)
@given(LIVES)
def test_nobody_is_left_with_nobody(events: list[Input]) -> None:
    life = Life()
    for event in events:
        life.feed(event)
        session = life.session
        if session.kept and not session.phase.is_over:
            assert session.parties
            continue
        if session.phase in {Phase.CONNECTED, Phase.DETACHED} and not changing(session):
            assert len(session.together) > 1 or session.taken_over_by is not None
        alone = session.phase is Phase.ANSWERED and session.taken_over_by is None
        if alone and not joining(life):
            assert len(session.together) == 1
            if not session.apart:
                assert session.heard_by == session.parties


def changing(session: Session) -> bool:
    """Tell whether what is wanted of parties is not known to stand."""
    return bool(session.changes or session.arrangements)


def joining(life: Life) -> bool:
    """Tell whether somebody is on his way in, or to another place."""
    coming = any(adding.answered for adding in life.session.adding)
    return coming or changing(life.session)


@settings(max_examples=1000)
@given(LIVES)
def test_who_is_apart_is_with_nobody_unless_the_agent_whispers_to_him(events: list[Input]) -> None:
    life = Life()
    for event in events:
        life.feed(event)
        session = life.session
        assert not session.standing.held & session.standing.apart
        named = session.mode.targets.union(*(t.mode.targets for t in session.turnings))
        for one, other in session.audience.matrix:
            for apart, else_ in ((one, other), (other, one)):
                if apart in session.apart:
                    assert else_ == AGENT
                    assert apart in named


@settings(max_examples=1000)
@given(LIVES)
def test_while_somebody_looks_after_the_call_it_goes_on_with_whoever_is_left(
    events: list[Input],
) -> None:
    life = Life()
    for event in events:
        before = life.session
        gone = isinstance(event, inputs.PartyGone) and len(before.parties - {event.party}) > 0
        life.feed(event)
        if gone and before.kept and not before.phase.is_over:
            assert life.session.phase is before.phase
        if before.kept and life.session.kept:
            assert life.session.bond == Bond()


@settings(max_examples=1000)
@given(LIVES, st.builds(inputs.Arrange, st.just(NO_TOKEN), SOME, SOME, SOME, st.booleans()))
def test_an_arrangement_that_fails_leaves_all_as_it_was(
    events: list[Input], arrange: inputs.Arrange
) -> None:
    life = live([*events, inputs.AudienceStands()])
    before = life.session
    if before.phase not in {Phase.ANSWERED, Phase.CONNECTED, Phase.DETACHED}:
        return
    effects = life.feed(arrange)
    if Succeed(life.asked[-1]) in effects or any(isinstance(e, Refuse) for e in effects):
        return
    life.feed(inputs.AudienceFailed("refused"))
    after = life.session
    assert (after.parties, after.standing, after.stood) == (
        before.parties,
        before.standing,
        before.stood,
    )
    assert any(isinstance(e, Refuse) and e.token == life.asked[-1] for e in life.effects)


@settings(max_examples=1000)
@given(LIVES, st.builds(inputs.Arrange, st.just(NO_TOKEN), SOME, SOME, SOME, st.booleans()))
def test_an_arrangement_that_stands_is_as_it_was_said(
    events: list[Input], arrange: inputs.Arrange
) -> None:
    life = live([*events, inputs.AudienceStands()])
    before = life.session
    effects = life.feed(arrange)
    if any(isinstance(e, Refuse) for e in effects):
        return
    life.feed(inputs.AudienceStands())
    after = life.session
    if after.phase.is_over:
        return
    # Without the agent nobody stays apart, unless somebody looks after the call.
    forsaken = frozenset() if after.agent_present or after.kept else arrange.apart
    there = before.parties - arrange.leaving - forsaken
    assert after.parties == there
    assert after.standing.held & there == arrange.held & there
    assert after.apart == arrange.apart & there
    assert after.kept is arrange.kept


@settings(max_examples=1000)
@given(LIVES)
def test_who_was_replaced_is_not_heard(events: list[Input]) -> None:
    life = Life()
    for event in events:
        life.feed(event)
        session = life.session
        if (who := session.replaced) is not None:
            assert not any(speaker == who for _, speaker in session.audience.matrix)


@settings(max_examples=1000)
@given(LIVES)
def test_when_nothing_is_under_way_all_that_stands_is_what_is_wanted(events: list[Input]) -> None:
    life = Life()
    for event in events:
        life.feed(event)
        if not changing(life.session):
            assert life.session.standing == life.session.stood


@settings(max_examples=500)
@given(LIVES)
def test_only_parties_on_the_call_hear_the_agent(events: list[Input]) -> None:
    life = Life()
    for event in events:
        life.feed(event)
        assert life.session.heard_by <= life.session.parties


@settings(max_examples=500)
@given(LIVES, st.one_of(COMMANDS, CONFERENCE, ARRANGEMENTS, TAKEOVERS).filter(is_command))
def test_an_illegal_command_changes_nothing(events: list[Input], command: Input) -> None:
    life = live(events)
    before = life.session
    effects = life.feed(command)
    illegal = {ErrorCode.INVALID_STATE, ErrorCode.COMMAND_IN_PROGRESS, ErrorCode.BAD_ARGUMENT}
    refused = [e for e in effects if isinstance(e, Refuse) and e.token == life.asked[-1]]
    if any(e.code in illegal for e in refused):
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
