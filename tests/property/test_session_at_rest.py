"""Whatever happens to a call: when all is at rest, nobody is left alone, in silence, or unanswered.

Random stories on a driver that answers as the runtime does; see ``driver``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TypeAlias

import pytest

from bridge.model.modes import BARGE, SPY, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.session import Phase, Session, inputs
from bridge.session.inputs import Input, Token
from tests.property.driver import Driver

STORIES = 30 * int(os.environ.get("CALLBRIDGE_SCRIPTS", "400"))
PARTS = 4
LONGEST = 60

NO_TOKEN = Token(0)
EXPERT, FRIEND = Participant("expert"), Participant("friend")
PEOPLE = (CALLER, CALLEE, EXPERT, FRIEND)
BOSSES = (Participant("boss"), Participant("other_boss"))
MODES = (SPY, BARGE, whisper(CALLEE), whisper(CALLER), whisper(EXPERT), whisper(CALLER, CALLEE))
RESTS = {Phase.PENDING, Phase.ANSWERED, Phase.CONNECTED, Phase.DETACHED, Phase.DISCONNECTED}

pytestmark = pytest.mark.timeout(120 + STORIES // 10)

Choice: TypeAlias = Callable[[random.Random], Input]


def chance(dice: random.Random) -> bool:
    return dice.random() < 0.5


def some(dice: random.Random, most: int = 2) -> frozenset[Participant]:
    return frozenset(dice.sample(PEOPLE, dice.randint(0, most)))


def arrange(dice: random.Random) -> Input:
    leaving = some(dice, dice.choice([2, 2, 2, 2, 4]))
    held = some(dice)
    return inputs.Arrange(NO_TOKEN, held, some(dice) - held, leaving, kept=chance(dice))


def take_over(dice: random.Random) -> Input:
    from_ = dice.choice([AGENT, CALLEE, CALLER, EXPERT])
    return inputs.TakeOver(NO_TOKEN, dice.choice(BOSSES), from_, keep=chance(dice))


def add(dice: random.Random) -> Input:
    party = dice.choice([EXPERT, FRIEND, CALLEE])
    return inputs.AddParty(NO_TOKEN, party, "PJSIP/1003", 30, apart=chance(dice))


def party(dice: random.Random) -> Participant:
    return dice.choice(PEOPLE)


COMMANDS: list[Choice] = [
    lambda _dice: inputs.Answer(NO_TOKEN),
    lambda _dice: inputs.Connect(NO_TOKEN, "PJSIP/1002", 60),
    *2 * [lambda dice: inputs.ChangeMode(NO_TOKEN, dice.choice(MODES), cut=chance(dice))],
    lambda dice: inputs.Close(NO_TOKEN, cut=chance(dice)),
    *2 * [add],
    lambda dice: inputs.RemoveParty(NO_TOKEN, party(dice)),
    *2 * [lambda dice: inputs.MuteParty(NO_TOKEN, party(dice), on=chance(dice))],
    lambda dice: inputs.HoldParty(NO_TOKEN, party(dice), on=chance(dice)),
    *4 * [arrange],
    *2 * [take_over],
    lambda dice: inputs.GiveBack(NO_TOKEN, dice.choice([None, *BOSSES])),
]
FACTS: list[Choice] = [
    *5 * [lambda dice: inputs.TakerGone(dice.choice(BOSSES))],
    *3 * [lambda _dice: inputs.EventsMissed()],
    *3 * [lambda dice: inputs.LineLost(party(dice))],
]
SELDOM: list[Choice] = [
    lambda dice: inputs.Disconnect(NO_TOKEN, cut=chance(dice)),
    lambda _dice: inputs.ServerLost(),
]


def command(driver: Driver, dice: random.Random) -> None:
    """Give a command, one that leads into a talk more often than others."""
    begins = driver.session.phase in {Phase.PENDING, Phase.ANSWERED} and dice.random() < 0.25
    if dice.random() < 0.06:
        driver.bring(dice.choice([EXPERT, FRIEND]), apart=chance(dice))
    else:
        driver.feed(dice.choice(COMMANDS[:2] if begins else COMMANDS)(dice))


def happen(driver: Driver, dice: random.Random) -> None:
    """Let something happen that nobody has asked for."""
    if chance(dice):
        driver.hang_up(party(dice))
    else:
        driver.feed(dice.choice(SELDOM if dice.random() < 0.04 else FACTS)(dice))


def play(seed: int) -> Driver:
    """Play a story; look at the session after everything, and at rest more closely."""
    dice = random.Random(seed)
    driver = Driver(dice)
    unasked = dice.choice([0.02, 0.08, 0.2])
    try:
        for _ in range(dice.randint(5, LONGEST)):
            fate = dice.random()
            if fate < 0.35:
                command(driver, dice)
            elif fate < 0.35 + unasked:
                happen(driver, dice)
            elif fate < 0.92:
                driver.advance()
            else:
                driver.rest()
                look_at_rest(driver)
            look(driver.session)
        driver.rest()
        look_at_rest(driver)
    except AssertionError as error:
        error.add_note(f"seed {seed}: " + "\n".join(map(str, driver.story)))
        raise
    return driver


# --- what has to be -----------------------------------------------------------------------------


def look(session: Session) -> None:
    """Look at a call in the midst of something."""
    standing = session.standing
    assert session.heard_by <= session.parties
    assert standing.held | standing.apart | standing.muted <= session.parties


def look_at_rest(driver: Driver) -> None:
    """Look at a call in which nothing is under way."""
    session = driver.session
    assert driver.answers.keys() == driver.asked
    assert session.phase in RESTS
    under_way = (session.changes, session.arrangements, session.adding, session.turnings)
    assert under_way == ((), (), (), ())
    assert (session.awaiting, session.leaving) == (None, ())
    if session.phase is Phase.DISCONNECTED:
        assert (driver.told_end, driver.torn_down) == (1, 1)
        return
    assert session.standing == session.stood
    if session.phase is Phase.PENDING:
        return
    assert driver.stands == session.audience
    if session.kept:
        assert session.parties
        return
    look_who_talks(session)
    if session.agent_present and session.replaced != AGENT:
        look_at_agent(driver)


def look_who_talks(session: Session) -> None:
    """Nobody is left alone by anybody who could bring him back."""
    others = session.together - {session.replaced}
    if session.replaced not in {None, AGENT}:
        assert others
    elif session.replaced is None and session.phase is not Phase.ANSWERED:
        assert len(others) > 1
    if session.phase is Phase.ANSWERED:
        assert len(session.together) == 1
    if session.phase is Phase.DETACHED:
        assert others
        assert not session.apart


def look_at_agent(driver: Driver) -> None:
    """The agent is heard by whom his mode says, and his words are for them."""
    session = driver.session
    assert session.heard_by == session.mode.heard_by(session.parties, session.apart)
    if session.mode != SPY:
        assert session.heard_by <= driver.route
    if session.phase is Phase.ANSWERED and not session.apart and session.replaced is None:
        assert session.mode == BARGE


@pytest.mark.parametrize("part", range(PARTS))
def test_a_call_at_rest_is_as_it_should_be(part: int) -> None:
    ends = [play(seed).session.phase for seed in range(part, STORIES, PARTS)]
    assert {Phase.ANSWERED, Phase.CONNECTED, Phase.DETACHED, Phase.DISCONNECTED} <= set(ends)
