"""What a recording takes of what it hears, around the moments at which the caller is on hold."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from bridge.model.ids import CallId
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.recorder_ears import Floor, RecorderEars
from bridge.session import Phase, Session
from bridge.session.state import Standing

RATE = 8000
FRAME_S = 0.02
CALL = CallId("0123456789ab")
PARTIES = frozenset({CALLER, CALLEE})
HELD = Standing(held=frozenset({CALLER}))
APART = Standing(apart=frozenset({CALLER}))


class Stage:
    """One call, a clock, and what the recording hears."""

    def __init__(self) -> None:
        self.session = Session(phase=Phase.CONNECTED, parties=PARTIES)
        self.at = 0.0
        self.observed: CallId | None = CALL
        self.ears = RecorderEars(
            cast("Floor", self),
            CALL,
            rate=RATE,
            coaching=False,
            on_left=lambda _reason: None,
        )
        self.ears._now = lambda: self.at
        self.ears.begin(0.0)

    def engine(self, _call_id: CallId) -> Any:
        return self

    @property
    def supervision(self) -> Any:
        return self

    def call_of(self, _engine: ObserverEngine) -> CallId | None:
        return self.observed

    def stands(self, wanted: Standing, stood: Standing) -> None:
        self.session = Session(phase=Phase.CONNECTED, parties=PARTIES, standing=wanted, stood=stood)

    def frame(self, speaker: Participant, value: int) -> None:
        self.ears._hear(speaker, np.full(round(FRAME_S * RATE), value, "<i2").tobytes())

    def talk(self, seconds: float, value: int) -> None:
        """Everybody says something; values tell when it was."""
        for _ in range(round(seconds / FRAME_S)):
            self.at += FRAME_S
            self.frame(CALLER, 1)
            self.frame(CALLEE, value)
            self.frame(AGENT, value)

    def heard(self) -> tuple[set[int], set[int]]:
        """Return the values on the left and on the right channel."""
        both, _ = self.ears.render(0, round(self.at * RATE))
        left, right = both.T
        return set(np.unique(left).tolist()), set(np.unique(right).tolist())


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_what_was_said_while_he_was_away_is_not_taken_when_it_comes_late(
    stage: Stage,
) -> None:
    for away in (HELD, APART):
        stage.talk(0.1, 10)
        stage.stands(away, Standing())
        stage.talk(0.1, 700)
        stage.stands(away, away)
        stage.talk(0.5, 700)
        stage.stands(Standing(), away)
        stage.talk(0.1, 700)
        stage.stands(Standing(), Standing())
        # These were on their way when he came back.
        stage.talk(0.2, 700)
        stage.talk(0.1, 0)
        stage.talk(0.5, 10)
    left, right = stage.heard()
    assert left == {1}
    assert right == {0, 20}


async def test_a_loop_that_was_blocked_as_he_came_back_takes_none_of_it(stage: Stage) -> None:
    stage.talk(0.1, 10)
    stage.stands(HELD, HELD)
    stage.talk(0.1, 700)
    stage.at += 2.0
    stage.stands(Standing(), Standing())
    for _ in range(100):
        stage.frame(CALLEE, 700)
    stage.talk(0.3, 0)
    stage.talk(0.3, 10)
    assert stage.heard()[1] == {0, 20}


async def test_what_is_said_in_another_call_is_not_taken(stage: Stage) -> None:
    stage.ears._main = cast("ObserverEngine", object())
    stage.talk(0.3, 10)
    stage.observed = CallId("ffffffffffff")
    assert stage.ears.have_moved()
    stage.talk(0.3, 700)
    stage.observed = None
    assert not stage.ears.have_moved()
    assert stage.heard() == ({0, 1}, {0, 20})
