"""Never more than a burst and what has come since; never less than that, either."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bridge.api.auth.limits import Buckets, Rate

rates = st.builds(Rate, per_second=st.floats(0.1, 100), burst=st.integers(1, 20))
pauses = st.lists(st.floats(0, 5), max_size=60)


@given(rates, pauses)
def test_no_window_has_more_than_the_rate(rate: Rate, pauses: list[float]) -> None:
    now = [0.0]
    buckets = Buckets(rate, clock=lambda: now[0])
    taken: list[float] = []
    for pause in pauses:
        now[0] += pause
        if buckets.take("x") == 0:
            taken.append(now[0])
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            allowed = rate.burst + rate.per_second * (taken[last] - taken[first])
            assert last - first + 1 <= allowed + 1e-6


@given(rates, pauses)
def test_who_waits_as_told_is_served(rate: Rate, pauses: list[float]) -> None:
    now = [0.0]
    buckets = Buckets(rate, clock=lambda: now[0])
    for pause in pauses:
        now[0] += pause
        wait = buckets.take("x")
        assert 0 <= wait <= 1 / rate.per_second
        if wait > 0:
            assert buckets.wait("x") == wait
            now[0] = math.nextafter(now[0] + wait, math.inf) + 1e-9
            assert buckets.take("x") == 0


@given(rates, st.lists(st.integers(0, 50), max_size=200), st.integers(1, 10))
def test_it_remembers_a_bounded_number(rate: Rate, who: list[int], kept: int) -> None:
    buckets = Buckets(rate, clock=lambda: 0.0, kept=kept)
    for one in who:
        buckets.take(one)
        assert len(buckets) <= kept


@given(rates, st.lists(st.sampled_from("ab"), max_size=60))
def test_nobody_uses_up_what_is_anothers(rate: Rate, who: list[str]) -> None:
    buckets = Buckets(rate, clock=lambda: 0.0)
    served = [one for one in who if buckets.take(one) == 0]
    for one in "ab":
        assert served.count(one) == min(rate.burst, who.count(one))


@given(rates, st.lists(st.floats(-5, 5), max_size=30))
def test_a_clock_that_goes_back_gives_nothing(rate: Rate, steps: list[float]) -> None:
    now, reached = [0.0], 0.0
    buckets = Buckets(rate, clock=lambda: now[0])
    taken = 0
    gained = 0.0
    for step in steps:
        before = now[0]
        now[0] += step
        gained += max(0.0, now[0] - before)
        reached = max(reached, now[0])
        taken += buckets.take("x") == 0
    assert taken <= rate.burst + rate.per_second * gained + 1e-6
