"""What the server can do is measured at start, and leaves nothing behind."""

from __future__ import annotations

import pytest

from bridge.lab.waiting import until
from tests.support.pbx import Pbx

pytestmark = pytest.mark.asterisk


async def test_whisper_to_a_silent_leg_is_measured_at_start(pbx: Pbx) -> None:
    program = await pbx.program(probe=True)

    def verdict() -> bool | None:
        return program.client.capabilities.whisper_to_silent_leg

    await until(lambda: verdict() is not None, "the probe has its verdict", within_s=15)
    version = program.client.capabilities.version_info
    if version[:1] == (22,):
        # Issue 1966 was mended in 22.11: the measurement has to tell the two apart.
        assert verdict() is (version >= (22, 11))
    assert "measured at start" in program.client.capabilities.describe()


async def test_leaving_in_the_middle_of_the_probe_leaves_nothing(pbx: Pbx) -> None:
    program = await pbx.program(probe=True)
    await program.client.disconnect()
    await pbx.empty()
