"""When something is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.webhooks import Retries

RETRIES = Retries(first_seconds=2.0, longest_seconds=60.0, attempts=5, seconds=600.0)


def test_waits_double_up_to_the_longest() -> None:
    waits = [RETRIES.wait(attempts, chance=1.0) for attempts in range(1, 8)]
    assert waits == [2, 4, 8, 16, 32, 60, 60]


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_a_wait_is_at_least_half_and_never_too_long(
    attempts: int, chance: float, asked: float | None
) -> None:
    wait = RETRIES.wait(attempts, chance=chance, asked=asked)
    assert RETRIES.wait(attempts, chance=0.0) <= wait <= RETRIES.longest_seconds


@pytest.mark.parametrize(("asked", "wait"), [(10.0, 10.0), (0.1, 2.0), (1000.0, 60.0)])
def test_a_receiver_may_ask_for_a_longer_wait(asked: float, wait: float) -> None:
    assert RETRIES.wait(1, chance=1.0, asked=asked) == wait


def test_it_ends() -> None:
    assert not RETRIES.over(4, age=599)
    assert RETRIES.over(5, age=0)
    assert RETRIES.over(1, age=600)
