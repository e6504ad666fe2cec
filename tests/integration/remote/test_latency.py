"""A command of a program by URL is heard hardly later than one in process."""

from __future__ import annotations

import pytest

from bridge.lab.bench import remote
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.alone]

ADDED_MS = 10.0
ATTEMPTS = 3
"""What else this machine does at the moment counts, too: one measurement of several is enough."""


async def test_from_the_command_to_the_ear(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ROUNDS", 6)
    found: list[float] = []
    for _ in range(ATTEMPTS):
        chapter = await remote.measure(pbx.instance.info)
        medians = {figure.name: figure.median for figure in chapter.figures}
        assert 0 < medians[remote.IN_PROCESS] < 100
        assert 0 < medians[remote.BY_URL] < 120
        found.append(medians[remote.BY_URL] - medians[remote.IN_PROCESS])
        if found[-1] <= ADDED_MS:
            return
    pytest.fail(f"by URL it is heard {found} ms later")
