"""How a call may be recorded."""

from __future__ import annotations

import pytest

from bridge.model.errors import BadArgumentError
from bridge.sdk.recording import RecordingOptions


@pytest.mark.parametrize("minutes", [-1.0, 0.0, 5e-324, 0.004, 600.1, float("inf"), float("nan")])
def test_a_part_is_neither_endless_nor_nothing(minutes: float) -> None:
    with pytest.raises(BadArgumentError, match="max_minutes"):
        RecordingOptions(max_minutes=minutes)


@pytest.mark.parametrize("minutes", [0.005, 60.0, 600.0])
def test_a_part_may_be_short_or_long(minutes: float) -> None:
    assert RecordingOptions(max_minutes=minutes).plan("x").part_seconds == minutes * 60
