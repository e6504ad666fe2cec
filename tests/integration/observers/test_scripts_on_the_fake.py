"""Random scripts by the real runtime on the fake server: looked at with every request."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from bridge.lab.fake_ari import FakeAri, run_hurried
from bridge.lab.waiting import until
from tests.integration.observers.theatre import client_of, opened
from tests.support.writing import Means, write

SCRIPTS = int(os.environ.get("CALLBRIDGE_SCRIPTS", "40"))
"""How many; more of them for a longer run."""
FIRST = int(os.environ.get("CALLBRIDGE_FIRST_SCRIPT", "0"))
"""To begin with the one that failed."""
OPERATIONS = 40
CLEARED_WITHIN_S = 60.0
"""What Asterisk did not let be removed is tried again, ever more seldom."""

pytestmark = [pytest.mark.busy, pytest.mark.timeout(120 + 3 * SCRIPTS)]


REFUSED = (
    ("POST", "channels/.*/mute"),
    ("DELETE", "channels/.*/mute"),
    ("POST", "channels/.*/snoop/.*"),
    ("POST", "channels/externalMedia"),
    ("POST", "channels/.*/variable"),
    ("POST", "bridges/.*/addChannel"),
    ("POST", "bridges/.*"),
    ("DELETE", "channels/[^/]*-(snoop|media|anchor)[^/]*"),
    ("GET", "channels"),
)
"""Requests that may go wrong: method and resource."""


KINDS = (("refuse", "delay"), ("refuse", "drop"))
"""What may go wrong at once. What was sent on a link that dropped is not carried out later: no
delays beside that."""


def faults_of(
    dice: random.Random, always: tuple[str, ...] | None = None
) -> Callable[[FakeAri], None]:
    """Return what goes wrong in a step. always: of these kinds, be there more steps at once."""

    def go_wrong(fake: FakeAri) -> None:
        kinds = always or dice.choice(KINDS)
        for _ in range(dice.choice([0, 1, 1, 2, 3])):
            method, resource = dice.choice(REFUSED)
            nth, times = dice.randint(1, 6), dice.choice([1, 1, 2, 5])
            match dice.choice(kinds):
                case "refuse":
                    fake.failures.refuse(method, resource, nth=nth, times=times)
                case "delay":
                    seconds = dice.uniform(0, 2)
                    fake.failures.delay(method, resource, seconds, nth=nth, times=times)
                case _:
                    carried_out = dice.random() < 0.5
                    fake.failures.drop(method, resource, carried_out=carried_out, nth=nth)
        if dice.random() < 0.2:
            fake.failures.double(dice.choice(["StasisStart", "ChannelDestroyed", "StasisEnd"]))
        if dice.random() < 0.1:
            fake.failures.lose("StasisStart")

    return go_wrong


async def play(means: Means, *, faulty: bool) -> int:
    """Play scripts one after another; each leaves nothing. Return how often it was looked."""
    looks = 0
    async with FakeAri() as fake:
        client, calls = await client_of(fake)
        async with client:
            for seed in range(FIRST, FIRST + SCRIPTS):
                dice = random.Random(seed)
                async with opened(fake, client, calls) as theatre:
                    for step in write(seed, OPERATIONS, means):
                        try:
                            if faulty:
                                await theatre.play_with(step, faults_of(dice))
                            else:
                                await theatre.play(step)
                        except BaseException as error:
                            error.add_note(f"in script {seed}")
                            raise
                    looks += theatre.looks
                await until(
                    lambda: not fake.remains(),
                    f"nothing is left of script {seed}",
                    within_s=CLEARED_WITHIN_S,
                )
        assert fake.world.violations == []
    return looks


def test_nobody_hears_whom_he_is_not_to_hear_at_any_moment() -> None:
    assert run_hurried(play(Means(), faulty=False)) > 100 * SCRIPTS


def test_nobody_does_though_requests_fail_and_connections_drop() -> None:
    assert run_hurried(play(Means(takeover=False), faulty=True)) > 100 * SCRIPTS
