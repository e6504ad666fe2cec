"""Random transfers by the real runtime on the fake server: looked at with every request."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from bridge.lab.fake_ari import FakeAri, run_hurried
from bridge.lab.waiting import until
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome
from tests.integration.observers.test_scripts_on_the_fake import KINDS, faults_of
from tests.integration.observers.theatre import client_of
from tests.integration.transfer.story import opened

STORIES = int(os.environ.get("CALLBRIDGE_SCRIPTS", "20"))
"""How many; more of them for a longer run."""
FIRST = int(os.environ.get("CALLBRIDGE_FIRST_SCRIPT", "0"))
"""To begin with the one that failed."""
LENGTH = 25

pytestmark = [pytest.mark.busy, pytest.mark.timeout(120 + 6 * STORIES)]


async def play(*, faulty: bool) -> tuple[Counter[Outcome | None], Counter[Stage]]:
    """Play stories one after another; each leaves nothing. Return what they came to."""
    outcomes: Counter[Outcome | None] = Counter()
    stages: Counter[Stage] = Counter()
    async with FakeAri() as fake:
        client, calls = await client_of(fake)
        async with client:
            for seed in range(FIRST, FIRST + STORIES):
                dice = random.Random(seed)
                try:
                    async with opened(fake, client, calls, dice) as story:
                        faults = faults_of(dice, dice.choice(KINDS)) if faulty else None
                        await story.play(LENGTH, faults)
                    if faulty:
                        # What Asterisk did not let be removed is removed when it is looked at anew.
                        fake.drop_sockets()
                        await until(lambda: fake.applications, "it is connected again")
                    await until(lambda: not fake.remains(), "nothing is left")
                    await until(lambda: client._connected().ari.state.is_up, "events come")
                except BaseException as error:
                    error.add_note(f"in story {seed}, left: {fake.remains()}")
                    raise
                outcomes += story.outcomes
                stages += story.stages
        assert fake.world.violations == []
    return outcomes, stages


def test_the_caller_is_never_in_silence_and_nothing_is_left_over() -> None:
    outcomes, stages = run_hurried(play(faulty=False))
    assert outcomes[Outcome.COMPLETED] >= STORIES / 10, outcomes
    assert outcomes[Outcome.FAILED] >= STORIES / 10, outcomes
    assert stages[Stage.CONSULTING], stages


def test_nothing_is_left_over_though_requests_fail_and_connections_drop() -> None:
    outcomes, _ = run_hurried(play(faulty=True))
    assert outcomes[Outcome.FAILED] >= STORIES / 10, outcomes
