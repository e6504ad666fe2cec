"""What is noted at a call that is taken up, and who goes on with it."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import cast

import pytest

from bridge.ari import models
from bridge.model.ids import CallId
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.memory import Remembered
from bridge.runtime.resume import Host, Resumer, Resumption, _present
from bridge.session import Phase, Session
from bridge.session.outline import Coming, Outline
from bridge.session.state import Standing

EXPERT, HUMAN = Participant("expert"), Participant("human")
KEPT = Outline(Phase.CONNECTED, standing=Standing(kept=True))
MEMORY = Remembered(CallId("0123456789ab"), "1", "PJSIP/1001-1", KEPT, {})


@dataclass(frozen=True)
class Channel:
    state: str


class Owner:
    """Notes what is to be done for calls that nobody goes on with."""

    def __init__(self) -> None:
        self.spawned: list[str] = []
        self.session = Session()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        work.close()
        self.spawned.append(name)


def knows(_engine: CallEngine, _memory: Remembered) -> bool:
    return True


def understands_nothing(_engine: CallEngine, _memory: Remembered) -> bool:
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("resumers", "spawned"),
    [
        ([understands_nothing, knows], []),
        ([knows, understands_nothing], []),
        ([understands_nothing], [f"call {MEMORY.call_id} is kept no more"]),
    ],
)
def test_a_note_that_nobody_understands_costs_no_call(
    resumers: list[Resumer], spawned: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    owner = Owner()
    resumption = Resumption(cast("Host", owner))
    resumption.resumers += resumers
    resumption._go_on(cast("CallEngine", owner), MEMORY)
    assert owner.spawned == spawned
    assert "no such thing" in caplog.text


def test_who_came_after_it_was_remembered_is_not_in_the_call() -> None:
    outline = Outline(
        Phase.CONNECTED, parties=frozenset({CALLER, CALLEE}), adding=(Coming(EXPERT, apart=True),)
    )
    memory = Remembered(CallId("0123456789ab"), "1", "PJSIP/1001-1", outline, {})
    states = {CALLER: "Up", CALLEE: "Up", EXPERT: "Up", HUMAN: "Up"}
    legs = {party: f"channel of {party}" for party in states}
    channels = {leg: Channel(states[party]) for party, leg in legs.items()}
    found = cast("dict[str, models.Channel]", channels)
    assert _present(memory, legs, found) == {CALLER, CALLEE}
    channels[legs[CALLEE]] = Channel("Ringing")
    assert _present(memory, legs, found) == {CALLER}
    del legs[CALLER]
    assert _present(memory, legs, found) == frozenset()
