"""A session as the runtime drives it: every effect is followed by what may come of it.

What is done in Asterisk is done in order, and may fail by the dice; phones that ring, and audio
that plays, take as long as the dice say.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, replace
from typing import TypeAlias

from bridge.model.audibility import Audience
from bridge.model.errors import ErrorCode
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.model.states import HangupCause
from bridge.session import Session, inputs, step
from bridge.session.effects import (
    Announce,
    AnswerCaller,
    Converge,
    Dial,
    Effect,
    FinishVoice,
    HangUp,
    Mend,
    Notice,
    Refuse,
    SetRoute,
    Succeed,
    TearDown,
    TurnVoice,
)
from bridge.session.inputs import Command, Input, Token

LONG = 60
"""Of so many things that happen some may fail; then they do no more."""
TOO_LONG = 400


@dataclass(frozen=True, slots=True)
class Rings:
    """A phone rings."""

    party: Participant


@dataclass(frozen=True, slots=True)
class Plays:
    """What the agent said before a mode change is on its way; or, ``reached``, is played."""

    token: Token
    reached: bool = False


@dataclass(frozen=True, slots=True)
class LastWord:
    """The agent finishes."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """What failed in Asterisk is to be looked at again."""


Errand: TypeAlias = Rings | Plays | LastWord | LookAgain
Job: TypeAlias = AnswerCaller | Converge | Mend | TearDown


class Driver:
    """Carries out what a session wants, and tells it what came of it."""

    def __init__(self, dice: random.Random) -> None:
        self.session = Session()
        self.story: list[Input] = []
        self.asked: set[Token] = set()
        self.answers: dict[Token, Succeed | Refuse] = {}
        self.channels = {CALLER}
        self.route: frozenset[Participant] = frozenset()
        """For whom the agent's words are."""
        self.stands: Audience | None = None
        """What Asterisk was made to be; None: that is not known."""
        self.torn_down = 0
        self.told_end = 0
        self._dice = dice
        self._failing = dice.choice([0.0, 0.0, 0.1, 0.4])
        self._jobs: deque[Job] = deque()
        self._errands: list[Errand] = []
        self._turned: Token | None = None
        """The mode change that the route is of."""

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not (self._jobs or self._errands)

    def feed(self, event: Input) -> None:
        """Tell the session something; a command gets a token of its own."""
        if isinstance(event, Command):
            event = replace(event, token=Token(len(self.asked) + 1))
            self.asked.add(event.token)
        self.story.append(event)
        self.session, effects = step(self.session, event)
        for effect in effects:
            self._perform(effect)

    def bring(self, party: Participant, *, apart: bool) -> None:
        """Let somebody join whose channel is there, unless he is on the call."""
        if party not in self.channels:
            self.channels.add(party)
            self.feed(inputs.JoinParty(Token(0), party, apart))
            if isinstance(self.answers.get(Token(len(self.asked))), Refuse):
                self.channels.discard(party)

    def hang_up(self, party: Participant) -> None:
        """Let a party hang up, if he is there."""
        if party in self.channels:
            self._end_leg(party)
            self.feed(inputs.PartyGone(party, HangupCause.NORMAL))

    def advance(self) -> None:
        """Let one thing happen that is under way, if there is any."""
        ready = [errand for errand in self._errands if self._is_ready(errand)]
        jobs = [None] * 3 if self._jobs else []
        if not (ready or jobs):
            return
        errand = self._dice.choice([*ready, *jobs])
        if errand is None:
            self._work(self._jobs.popleft())
        else:
            self._errands.remove(errand)
            self._end(errand)

    def rest(self) -> None:
        """Let everything happen that is under way; nothing fails for ever."""
        failing = self._failing
        for count in range(TOO_LONG):
            if self.idle:
                break
            if count == LONG:
                self._failing = 0.0
            self.advance()
        self._failing = failing
        assert self.idle, "it does not come to rest"

    # --- what the session wants -----------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Succeed(token) | Refuse(token):
                assert token not in self.answers, f"{token} is answered twice"
                self.answers[token] = effect
            case AnswerCaller() | Converge() | Mend():
                self._jobs.append(effect)
            case TearDown():
                self.torn_down += 1
                self._jobs = deque([effect])
            case Dial(party=party):
                self._errands.append(Rings(party))
            case HangUp(party):
                self._end_leg(party)
            case SetRoute(parties):
                self.route, self._turned = parties, None
            case TurnVoice(token, parties):
                self.route, self._turned = parties, token
                self._errands.append(Plays(token))
            case FinishVoice():
                self._errands.append(LastWord())
            case Announce(Notice.TERMINATED):
                self.told_end += 1
            case _:
                pass

    def _end_leg(self, party: Participant) -> None:
        self.channels.discard(party)
        self._errands = [errand for errand in self._errands if errand != Rings(party)]

    # --- what comes of it -----------------------------------------------------------------------

    def _is_ready(self, errand: Errand) -> bool:
        """Mode changes keep their order, and are done when the gates are as was wanted last."""
        if not isinstance(errand, Plays):
            return True
        first = next(each for each in self._errands if isinstance(each, Plays))
        return errand == first and not (errand.reached and self._jobs)

    def _fails(self, times: float = 1.0) -> bool:
        return self._dice.random() < self._failing * times

    def _work(self, job: Job) -> None:
        match job:
            case TearDown():
                self.feed(inputs.TornDown())
            case AnswerCaller() if CALLER not in self.channels:
                self.feed(inputs.PartyGone(CALLER, HangupCause.NORMAL))
            case AnswerCaller():
                failed = self._fails()
                self.feed(inputs.AnswerFailed("no") if failed else inputs.CallerAnswered())
            case Converge(audience) | Mend(audience):
                self._converge(audience)

    def _converge(self, audience: Audience) -> None:
        failed = self._fails()
        gone = sorted(audience.parties - self.channels)
        if gone and not failed:
            self.feed(inputs.PartyGone(gone[0], HangupCause.NORMAL))
        elif any(isinstance(job, Converge | Mend) for job in self._jobs):
            # Something else is wanted meanwhile: only of that is anything told.
            return
        elif failed:
            self.stands = None
            self._errands.append(LookAgain())
            self.feed(inputs.AudienceFailed("no"))
        else:
            self.stands = audience
            self.feed(inputs.AudienceStands())

    def _end(self, errand: Errand) -> None:
        match errand:
            case Rings(party):
                self._pick_up(party)
            case Plays():
                self._play(errand)
            case LastWord():
                self.feed(inputs.VoiceFinished())
            case LookAgain():
                self.feed(inputs.EventsMissed())

    def _pick_up(self, party: Participant) -> None:
        busy, cause = ErrorCode.CALL_BUSY, HangupCause.BUSY
        if self._dice.random() < 0.35:
            if party == CALLEE:
                self.feed(inputs.CalleeFailed(busy, "busy", cause))
            else:
                self.feed(inputs.PartyFailed(party, busy, "busy", cause))
            return
        self.channels.add(party)
        self.feed(inputs.CalleeAnswered() if party == CALLEE else inputs.PartyAnswered(party))

    def _play(self, plays: Plays) -> None:
        token = plays.token
        unsure = plays.reached and self.stands is None and not self.session.phase.is_over
        if self._fails(0.5) or unsure:
            if self._turned == token:
                self.route = frozenset()
            self.feed(inputs.VoiceFailed(token, "broken"))
        elif plays.reached:
            self.feed(inputs.VoiceSettled(token))
        else:
            self._errands.insert(0, Plays(token, reached=True))
            self.feed(inputs.VoiceReached(token))
