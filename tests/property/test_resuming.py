"""A call that is taken up again is never louder than it was, and goes on by the usual rules."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model.ids import CallId
from bridge.model.modes import BARGE, SPY
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.model.states import CallState
from bridge.runtime.memory import LARGEST, Remembered, RememberedLeg, decode_call, encode
from bridge.session import Phase, Session, inputs, step
from bridge.session.effects import Refuse, Succeed
from bridge.session.inputs import Input, Token
from bridge.session.outline import Outline, outline, resumed
from bridge.session.state import Standing
from bridge.topology.planner import plan
from tests.property.test_session import COMMANDS, CONFERENCE, FACTS, LIVES, TAKEOVERS, live

EXPERT, FRIEND = Participant("expert"), Participant("friend")
EVERYBODY = frozenset({CALLER, CALLEE, EXPERT, FRIEND})
SOME = st.frozensets(st.sampled_from(sorted(EVERYBODY)))
ONE = st.frozensets(st.sampled_from(sorted(EVERYBODY)), max_size=1)
ARRANGED: st.SearchStrategy[Input] = st.one_of(
    st.builds(inputs.Arrange, st.just(Token(0)), SOME, SOME, ONE, st.booleans()),
    st.builds(
        inputs.AddParty,
        st.just(Token(0)),
        st.sampled_from([EXPERT, FRIEND]),
        st.just("PJSIP/1003"),
        st.just(30),
        st.booleans(),
    ),
    st.just(inputs.AudienceStands()),
)
LONGER = st.builds(
    lambda life, more: life + more, LIVES, st.lists(st.one_of(ARRANGED, CONFERENCE), max_size=15)
)
AFTERWARDS = st.lists(st.one_of(COMMANDS, FACTS, CONFERENCE, TAKEOVERS, ARRANGED), max_size=15)


def there(session: Session, away: frozenset[Participant]) -> tuple[frozenset[Participant], ...]:
    """Return who is present, and who is coming, unless he went away while nobody looked."""
    coming = {adding.party for adding in session.adding}
    if session.phase in {Phase.RINGING, Phase.JOINING}:
        coming.add(CALLEE)
    return session.parties - coming - away, frozenset(coming - away)


def again(session: Session, away: frozenset[Participant]) -> Session | None:
    present, coming = there(session, away)
    return resumed(outline(session), present, coming)


@settings(max_examples=1000)
@given(LONGER, SOME)
def test_nobody_hears_the_agent_who_did_not_hear_him(
    events: list[Input], away: frozenset[Participant]
) -> None:
    was = live(events).session
    now = again(was, away)
    if now is None:
        return
    alone = len(now.together) < 2
    if now.mode != SPY:
        assert alone
        assert now.mode == BARGE
    if not alone or (now.may_choose and was.mode != BARGE):
        assert now.heard_by == frozenset()
    heard = {(a, b) for a, b in now.audience.matrix if b == AGENT}
    assert {a for a, _ in heard} <= now.together


@settings(max_examples=1000)
@given(LONGER, SOME)
def test_parties_stay_where_they_are(events: list[Input], away: frozenset[Participant]) -> None:
    was = live(events).session
    now = again(was, away)
    if now is None:
        return
    present, coming = there(was, away)
    assert now.parties == present
    assert {adding.party for adding in now.adding} <= coming
    assert now.standing.held == was.standing.held & present
    assert now.standing.apart == was.standing.apart & present
    assert now.standing.kept == was.standing.kept
    # Who was replaced is heard again; else nobody hears more of the others than before.
    before = {(a, b) for a, b in was.audience.matrix if {a, b} <= present and b != was.replaced}
    after = {(a, b) for a, b in now.audience.matrix if {a, b} <= present and b != was.replaced}
    if not was.going:
        assert after == before
    assert now.taken_over_by is None
    plan(now.audience)


@settings(max_examples=1000)
@given(events=LONGER, away=SOME, agent=st.booleans())
def test_who_was_apart_meets_nobody(
    *, events: list[Input], away: frozenset[Participant], agent: bool
) -> None:
    was = live(events).session
    now = resumed(outline(was), *there(was, away), agent=agent)
    if now is not None:
        assert not was.standing.apart & now.together
        assert now.parties <= was.parties


@settings(max_examples=1000)
@given(LONGER, SOME, AFTERWARDS)
def test_it_goes_on_and_ends_like_any_other(
    events: list[Input], away: frozenset[Participant], more: list[Input]
) -> None:
    now = again(live(events).session, away)
    if now is None:
        return
    asked = [Token(0)]
    answered: list[Token] = []

    def feed(every: Iterable[Input]) -> Session:
        session = now
        assert session is not None
        for event in every:
            session, effects = step(session, event)
            answered.extend(e.token for e in effects if isinstance(e, Succeed | Refuse))
        return session

    gone = [inputs.PartyGone(party, 16) for party in sorted(EVERYBODY)]
    last = feed([inputs.EventsMissed(), *more, *gone, inputs.TornDown()])
    assert last.state is CallState.DISCONNECTED
    assert set(answered) <= set(asked)


@settings(max_examples=500)
@given(LONGER, st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5))
def test_what_is_written_is_read_again(events: list[Input], notes: dict[str, str]) -> None:
    memory = Remembered(
        call_id=CallId("0123456789ab"),
        channel_id="1700000000.1",
        channel_name="PJSIP/1001-00000001",
        outline=outline(live(events).session),
        legs={CALLEE: RememberedLeg("callbridge-0123456789ab-leg.callee-0123456789ab", "PJSIP/1")},
        caller_name='Zoë "the" Caller\n',
        notes=notes,
        serial=7,
    )
    text = encode(memory)
    assert decode_call(text) == memory
    assert len(text) < LARGEST


@settings(max_examples=300)
@given(st.text(max_size=300))
def test_what_is_no_memory_is_forgotten(text: str) -> None:
    assert decode_call(text) is None


def test_what_another_version_wrote_is_forgotten() -> None:
    memory = Remembered(
        CallId("0123456789ab"), "1", "PJSIP/1001-00000001", Outline(Phase.CONNECTED), {}
    )
    text = encode(memory)
    assert decode_call(text) == memory
    assert decode_call(text.replace('"version":1', '"version":2')) is None
    assert decode_call(text[:-10]) is None
    assert decode_call(text.replace('"connected"', '"flying"')) is None


@settings(max_examples=500)
@given(LONGER)
def test_nobody_is_left_with_nobody_though_his_agent_was_let_go(events: list[Input]) -> None:
    was = live(events).session
    takeover = was.standing.takeover
    if takeover is None or takeover.kept:
        return
    present, coming = there(was, frozenset())
    now = resumed(outline(was), present, coming, seated=frozenset({takeover.by}))
    if now is not None:
        assert now.standing.takeover == takeover
        after, _ = step(now, inputs.TakerGone(takeover.by))
        assert after.taken_over_by is None


def test_one_who_is_apart_is_not_taken_up_alone_unless_somebody_looks_after_him() -> None:
    everybody, apart = frozenset({CALLER, EXPERT}), frozenset({EXPERT})
    for kept in (False, True):
        there = Standing(apart=apart, kept=kept)
        was = Outline(Phase.ANSWERED, Phase.ANSWERED, BARGE, everybody, there)
        now = resumed(was, apart, frozenset())
        assert (now is not None and now.parties == apart) is kept
