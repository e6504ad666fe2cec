"""Waiting for a condition: by the clock of the loop that waits."""

from __future__ import annotations

import time

import pytest

from bridge.lab.fake_ari import run_hurried
from bridge.lab.waiting import until


def test_a_deadline_takes_no_time_where_waiting_takes_none() -> None:
    async def in_vain() -> None:
        with pytest.raises(TimeoutError, match=r"not within 5\.0 s: it comes"):
            await until(lambda: False, "it comes", within_s=5.0)

    began = time.monotonic()
    run_hurried(in_vain())
    assert time.monotonic() - began < 4.5
