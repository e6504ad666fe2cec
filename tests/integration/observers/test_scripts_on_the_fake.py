"""Random scripts by the real runtime on the fake server: looked at with every request."""

from __future__ import annotations

import os

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

pytestmark = pytest.mark.timeout(120 + 3 * SCRIPTS)


async def play(means: Means) -> int:
    """Play scripts one after another; each leaves nothing. Return how often it was looked."""
    looks = 0
    async with FakeAri() as fake:
        client, calls = await client_of(fake)
        async with client:
            for seed in range(FIRST, FIRST + SCRIPTS):
                async with opened(fake, client, calls) as theatre:
                    for step in write(seed, OPERATIONS, means):
                        try:
                            await theatre.play(step)
                        except BaseException as error:
                            error.add_note(f"in script {seed}")
                            raise
                    looks += theatre.looks
                await until(lambda: not fake.remains(), f"nothing is left of script {seed}")
        assert fake.world.violations == []
    return looks


def test_nobody_hears_whom_he_is_not_to_hear_at_any_moment() -> None:
    assert run_hurried(play(Means())) > 100 * SCRIPTS
