"""A transfer, whatever happens in whatever order: an outcome, nothing left over, nobody in silence.

The call, the phones and the people are played by ``World``: what is asked for is done or refused
later, and what happened is reported late, twice, in another order, or never. Dice choose, evenly,
so that all that can be come to is; and Hypothesis, which finds the shortest way to what is wrong.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Protocol, TypeVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.errors import ErrorCode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant, participant
from bridge.model.states import EndReason
from bridge.session.effects import Refuse, Succeed
from bridge.session.inputs import Token
from bridge.session.transfer import Stage, Transfer, inputs, step
from bridge.session.transfer.effects import (
    Drop,
    EndCall,
    Leave,
    Offer,
    Outcome,
    Place,
    Placement,
    Ring,
    Tell,
    TransferEffect,
    TransferNotice,
    Withdraw,
)
from bridge.session.transfer.inputs import Plan, Target, TransferCommand, TransferFact
from bridge.session.transfer.machine import INPUTS, TRANSITIONS
from bridge.session.transfer.placement import names_of, placement

GUEST = participant("guest")
TALKING = {Stage.CONSULTING, Stage.ASIDE, Stage.TOGETHER}

RUNS = 3 * int(os.environ.get("CALLBRIDGE_SCRIPTS", "400"))
"""How often the dice are thrown; more of them for a longer run."""

_T = TypeVar("_T")


class Chooser(Protocol):
    """Takes one of several."""

    def __call__(self, options: Sequence[_T], /) -> _T: ...


@dataclass
class World:
    """The call as it is, what is under way in it, and what was not reported yet."""

    choose: Chooser
    transfer: Transfer = field(default_factory=Transfer)
    parties: set[Participant] = field(default_factory=set)
    agent: bool = True
    where: Placement = field(default_factory=Placement)
    ringing: dict[Participant, bool] = field(default_factory=dict)
    """Whether he is apart when he answers."""
    offered: set[Participant] = field(default_factory=set)
    chosen: set[Participant] = field(default_factory=set)
    """Humans who had accepted at some time."""
    private: bool = True
    """The customers are not to hear the human, nor he them."""
    places: list[Place] = field(default_factory=list)
    reports: list[TransferFact] = field(default_factory=list)
    lost: bool = False
    over: bool = False
    refusing: int = 1
    """Of ten Places, how many fail."""
    seen: set[Stage] = field(default_factory=set)
    unanswered: set[Token] = field(default_factory=set)
    told: list[Tell] = field(default_factory=list)
    left: int = 0
    next_token: int = 1

    # --- what is asked for ----------------------------------------------------------------------

    def token(self) -> Token:
        token = Token(self.next_token)
        self.next_token += 1
        self.unanswered.add(token)
        return token

    def take(self, event: TransferCommand | TransferFact) -> None:
        before = self.transfer
        self.transfer, effects = step(before, event)
        if self.transfer.human is not None:
            self.chosen.add(self.transfer.human)
        if self.transfer.stage in {Stage.GATHERING, Stage.COMPLETING}:
            self.private = False
        elif self.transfer.stage is Stage.CONSULTING and not self.transfer.asked:
            self.private = True
        for effect in effects:
            self.carry_out(effect)
        assert_is_well_formed(self.transfer)
        self.seen.add(self.transfer.stage)
        self.look()

    def carry_out(self, effect: TransferEffect) -> None:
        match effect:
            case Ring(party, _, apart):
                assert party not in self.parties | self.ringing.keys(), "a name is used twice"
                if not self.over:
                    self.ringing[party] = apart
            case Drop(party):
                self.drop(party)
            case Offer(party) | Withdraw(party):
                (self.offered.add if isinstance(effect, Offer) else self.offered.discard)(party)
            case Place():
                self.places.append(effect)
            case Tell():
                self.told.append(effect)
            case EndCall():
                assert self.transfer.ends_call, "a call is ended that somebody could go on with"
                self.end(None)
            case Leave():
                self.left += 1
            case Succeed(token) | Refuse(token):
                assert token in self.unanswered, "a command is answered twice"
                self.unanswered.discard(token)

    def drop(self, party: Participant) -> None:
        if self.ringing.pop(party, None) is not None:
            self.report(inputs.LegFailed(party, ErrorCode.CALL_FAILED, "given up"))
        self.hang_up(party)

    # --- what happens ---------------------------------------------------------------------------

    def report(self, fact: TransferFact) -> None:
        self.reports.append(fact)

    def hang_up(self, party: Participant) -> None:
        if party not in self.parties:
            return
        self.parties.discard(party)
        self.offered.discard(party)
        self.report(inputs.PartyLeft(party, 16))
        self.end_if_lonely(party)

    def end_if_lonely(self, gone: Participant | None) -> None:
        """Do as the call does by itself."""
        enough = 1 if self.where.kept or self.agent else 2
        if len(self.parties) < enough:
            self.end(EndReason.CALLER_HUNG_UP if gone == CALLER else EndReason.PARTY_HUNG_UP)

    def end(self, reason: EndReason | None) -> None:
        if self.over:
            return
        self.over = True
        self.parties.clear()
        self.ringing.clear()
        self.places.clear()
        self.where = Placement()
        self.report(inputs.CallOver(reason))

    def answer(self, party: Participant) -> None:
        apart = self.ringing.pop(party)
        self.parties.add(party)
        if apart:
            self.where = replace(self.where, apart=self.where.apart | {party})
        self.report(inputs.LegAnswered(party))

    def fail(self, party: Participant) -> None:
        del self.ringing[party]
        self.report(inputs.LegFailed(party, ErrorCode.CALL_BUSY, "busy", 17))

    def place_next(self, *, fails: bool) -> None:
        asked = self.places.pop(0)
        if fails or self.over:
            self.report(inputs.PlaceFailed(asked.number, "refused"))
            return
        leaving, before = asked.placement.leaving & self.parties, self.where
        # Whoever leaves stays where he is until he is gone.
        self.where = replace(
            asked.placement,
            held=(asked.placement.held - leaving) | (before.held & leaving),
            apart=(asked.placement.apart - leaving) | (before.apart & leaving),
        )
        self.report(inputs.Placed(asked.number))
        self.look()
        for party in sorted(asked.placement.leaving):
            self.hang_up(party)
        self.end_if_lonely(None)

    def look_anew(self, *, restarted: bool) -> None:
        """Forget what was not reported and what is under way, and report what is there."""
        self.reports.clear()
        self.places.clear()
        self.lost = False
        if restarted:
            written = msgspec.json.encode(self.transfer.remembered())
            self.transfer = msgspec.json.decode(written, type=Transfer)
            self.unanswered.clear()
            self.offered.clear()
        if self.over:
            self.take(inputs.CallOver())
            return
        self.take(
            inputs.Resumed(frozenset(self.parties), frozenset(self.ringing), self.agent, restarted)
        )

    # --- what must hold -------------------------------------------------------------------------

    @property
    def talking(self) -> set[Participant]:
        return self.parties - self.where.held - self.where.apart

    @property
    def is_at_rest(self) -> bool:
        return not (self.places or self.reports or self.lost)

    def look(self) -> None:
        customers = self.transfer.customers & self.talking
        strangers = (self.talking & self.transfer.humans) - self.chosen
        if customers and not self.transfer.plan.joins_at_once:
            assert not strangers, "somebody hears the customers and has not accepted"
            consulted = self.transfer.humans & self.talking
            assert not (self.private and consulted), "a word of the consult is heard"
        if not self.is_at_rest or self.transfer.stage is Stage.NEW:
            return
        for customer in customers:
            company = self.talking - {customer}
            assert company or self.agent, f"{customer} is alone in silence"
        if self.transfer.stage is Stage.CONSULTING:
            assert self.transfer.customers <= self.where.held, "the customers hear the consult"
            assert self.transfer.human not in self.where.held | self.where.apart
        if self.transfer.stage is Stage.ASIDE:
            assert self.where.held == {self.transfer.human}


def assert_is_well_formed(transfer: Transfer) -> None:
    where, humans = placement(transfer), transfer.humans
    assert not where.held & where.apart
    assert where.apart <= humans
    away = {Stage.COMPLETING, Stage.RETURNING, Stage.OVER, Stage.NEW}
    if transfer.stage is not Stage.OVER:
        assert where.kept is (transfer.stage not in away)
        assert where.leaving <= {transfer.by, *humans}
        assert not where.leaving & transfer.customers
    if transfer.stage in {Stage.JOINING, Stage.CONSULTING, Stage.TURNING_BACK}:
        assert where.held == transfer.customers
    if transfer.stage in {Stage.RINGING, Stage.HOLDING} and not transfer.attended:
        assert where.held == transfer.customers
    assert bool(transfer.attempts) is (transfer.stage is Stage.RINGING)
    assert transfer.stage is not Stage.OVER or transfer.outcome is not None
    talks = {*TALKING, Stage.TURNING_ASIDE, Stage.TURNING_BACK, Stage.GATHERING, Stage.JOINING}
    assert transfer.stage not in talks or transfer.human is not None


# --- what may happen ----------------------------------------------------------------------------


def draw_command(world: World) -> TransferCommand:
    token = world.token()
    commands: list[TransferCommand] = [
        inputs.Begin(token, AGENT, frozenset({CALLER}), world.transfer.plan, frozenset({CALLER})),
        inputs.Complete(token),
        inputs.Cancel(token),
        *[inputs.Toggle(token)] * 4,
        *[inputs.Conference(token)] * 3,
        inputs.Conference(token, for_good=True),
    ]
    return world.choose(commands)


def by_chance(world: World) -> None:
    """Let something happen."""
    possible: dict[Callable[[World], None], int] = {
        carry_out_a_place: 12 if world.places else 0,
        report: 16 if world.reports else 0,
        on_the_phone: 12 if world.ringing or world.offered else 0,
        command: 8 if world.is_at_rest and world.transfer.stage in TALKING else 2,
        come_or_go: 1,
        interrupt: 1,
    }
    world.choose([*chain.from_iterable(repeat(do, often) for do, often in possible.items())])(world)


def command(world: World) -> None:
    world.take(draw_command(world))


def carry_out_a_place(world: World) -> None:
    world.place_next(fails=world.choose(range(10)) < world.refusing)


def interrupt(world: World) -> None:
    world.look_anew(restarted=world.choose([False, True]))


def report(world: World) -> None:
    """Report one of the next things, once, twice, or never."""
    index = world.choose(range(min(2, len(world.reports))))
    fate = world.choose(["once"] * 16 + ["twice"] * 3 + ["never"])
    fact = world.reports[index] if fate == "twice" else world.reports.pop(index)
    if fate == "never":
        world.lost = True
    else:
        world.take(fact)


def on_the_phone(world: World) -> None:
    """Let somebody who is rung, or to whom it is offered, do something."""
    party = world.choose(sorted(world.ringing.keys() | world.offered))
    is_willing = world.choose([True, True, False])
    if party in world.ringing:
        (world.answer if is_willing else world.fail)(party)
    elif is_willing:
        world.report(inputs.Accepted(party))
    else:
        world.offered.discard(party)
        world.report(inputs.Declined(party, ErrorCode.CALL_DECLINED, "by key"))


def come_or_go(world: World) -> None:
    if world.over:
        return
    party = world.choose([*sorted(world.parties), AGENT, GUEST, None])
    if party is None:
        world.end(EndReason.AGENT_ENDED)
    elif party == GUEST and GUEST not in world.parties:
        world.parties.add(GUEST)
        world.report(inputs.PartyJoined(GUEST))
    elif party == AGENT and world.agent:
        world.agent = False
        world.report(inputs.PartyLeft(AGENT))
        world.end_if_lonely(None)
    else:
        world.hang_up(party)


def go_on(world: World) -> None:
    """Let the next thing happen that is under way; there has to be one."""
    if world.places:
        world.place_next(fails=False)
    elif world.reports:
        world.take(world.reports.pop(0))
    elif world.lost:
        world.look_anew(restarted=False)
    else:
        assert world.offered or world.ringing, "nothing goes on"
        on_the_phone(world)


def come_to_rest(world: World) -> None:
    """Let all that is under way happen; who talks makes up his mind."""
    for _ in range(200):
        if world.transfer.stage in TALKING and world.is_at_rest:
            token = world.token()
            last: list[TransferCommand] = [
                inputs.Complete(token),
                inputs.Cancel(token),
                inputs.Conference(token, for_good=True),
            ]
            world.take(world.choose(last))
        elif world.transfer.stage is Stage.OVER and world.is_at_rest:
            return
        else:
            go_on(world)
    raise AssertionError("it does not come to rest")


def begin(world: World) -> None:
    """Begin a transfer of some kind."""
    choose, no_yes = world.choose, (False, True)
    parties = {CALLER, *choose([{CALLEE}, set(), {CALLEE, GUEST}, {GUEST}])}
    by = choose([AGENT, CALLEE, min(parties - {CALLER}, default=AGENT)])
    world.agent = choose(no_yes) or len(parties) == 1 or by == AGENT
    world.parties = set(parties)
    everybody = choose(no_yes)
    target = Target("PJSIP/1003", 20)
    plan = Plan(
        rounds=choose([((target,),), ((target,), (target,)), ((target, target), (target,))]),
        offer=choose([True, True, False]),
        consult=choose([True, True, False]),
        hold_at_once=choose(no_yes),
        blind=choose([False, False, True]),
    )
    customers = frozenset(parties - {CALLEE, by} if everybody else {CALLER})
    token = world.token()
    there = frozenset(parties)
    world.take(inputs.Begin(token, by, customers, plan, there, agent=world.agent))


def play(choose: Chooser, length: int) -> World:
    """Play a transfer to its end."""
    world = World(choose, refusing=choose([*[0] * 6, *[1] * 4, 5, 10]))
    begin(world)
    if choose((False, True)):
        while world.transfer.stage not in {*TALKING, Stage.OVER}:
            go_on(world)
    for _ in range(length):
        by_chance(world)
    come_to_rest(world)
    assert_nothing_is_left(world)
    return world


def assert_nothing_is_left(world: World) -> None:
    transfer = world.transfer
    assert world.unanswered == set(), "a command was never answered"
    ends = [tell for tell in world.told if tell.notice is TransferNotice.ENDED]
    assert [tell.outcome for tell in ends] == [transfer.outcome]
    assert not world.ringing
    assert not world.offered & world.parties
    assert world.parties & transfer.humans <= {transfer.human}
    assert not world.where.held & world.parties
    assert not world.where.apart & world.parties
    assert not world.where.kept
    if transfer.outcome in {Outcome.CALLER_HUNG_UP, Outcome.CALL_OVER}:
        assert not world.parties
    completes = transfer.outcome is Outcome.COMPLETED and transfer.by == AGENT
    assert world.left == (completes and transfer.by_there)


def test_whatever_the_dice_say_there_is_an_outcome_and_nothing_left_over() -> None:
    outcomes: Counter[Outcome | None] = Counter()
    stages: Counter[Stage] = Counter()
    for seed in range(RUNS):
        dice = random.Random(seed)
        try:
            world = play(dice.choice, dice.randrange(60))
        except BaseException as error:
            error.add_note(f"with the dice {seed}")
            raise
        outcomes[world.transfer.outcome] += 1
        stages.update(world.seen)
    assert all(outcomes[outcome] > RUNS / 100 for outcome in Outcome), outcomes
    assert all(stages[stage] > RUNS / 50 for stage in set(Stage) - {Stage.NEW}), stages


@given(data=st.data())
def test_whatever_happens_there_is_an_outcome_and_nothing_left_over(data: st.DataObject) -> None:
    def choose(options: Sequence[_T], /) -> _T:
        return data.draw(st.sampled_from(options))

    play(choose, data.draw(st.integers(0, 40), label="length"))


def test_every_stage_says_what_follows_from_every_input() -> None:
    assert {stage: frozenset(row) for stage, row in TRANSITIONS.items()} == dict.fromkeys(
        Stage, frozenset(INPUTS)
    )


@given(
    rounds=st.lists(
        st.lists(st.builds(Target, st.just("PJSIP/1"), st.just(1), name=st.text(max_size=40)))
    ),
    taken=st.frozensets(st.sampled_from([CALLER, CALLEE, *map(participant, ["human", "anna"])])),
)
def test_humans_have_names_that_can_be_and_are_free(
    rounds: list[list[Target]], taken: frozenset[Participant]
) -> None:
    names = names_of(Plan(tuple(map(tuple, rounds))), taken)
    flat = [name for row in names for name in row]
    assert [len(row) for row in names] == [len(row) for row in rounds]
    assert len(set(flat)) == len(flat)
    assert taken.isdisjoint(flat)
    assert [participant(name) for name in flat] == flat
