"""Thirty calls at once, a program spying on each, on this machine: nobody loses a frame."""

from __future__ import annotations

import sys

import pytest

from bridge.lab.bench.load import Load, open_bench
from tests.audio.machine import measured, whole
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.alone, pytest.mark.timeout(240)]

CALLS = 30
SECONDS = 10.0
QUIET_PERCENT = 20
"""Of one core, by everything else on the machine."""
FEW = 0.005


async def test_an_agent_spies_on_each_of_thirty_calls(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with open_bench(pbx.instance) as bench:
            for _ in range(CALLS):
                await bench.place()
            nothing_lost(await bench.measure(SECONDS))

    await measured(pbx, measurement)


async def test_an_observer_spies_on_each_of_thirty_calls_of_others(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with open_bench(pbx.instance) as bench:
            for _ in range(CALLS):
                await bench.place_foreign()
            nothing_lost(await bench.measure(SECONDS))

    await measured(pbx, measurement)


def nothing_lost(load: Load) -> None:
    """Assert that no frame is missing; where others use the processors too, that few are."""
    sys.stdout.write(f"{load}\n")
    frames = CALLS * 2 * SECONDS * 50
    allowed = 0 if load.others < QUIET_PERCENT else frames * FEW
    whole(load.missing.lost <= allowed, f"the parties: {load.missing} of {frames:g}")
    whole(load.unheard.lost <= allowed, f"the program: {load.unheard} of {frames:g}")
