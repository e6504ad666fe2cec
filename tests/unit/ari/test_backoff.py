"""How long to wait before connecting again."""

from __future__ import annotations

from bridge.ari import Backoff


def test_the_first_attempt_is_made_at_once() -> None:
    assert Backoff().delay_s(0) == 0


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(shortest_s=0.1, longest_s=3.0, random=lambda: 1.0)
    delays = [round(backoff.delay_s(failures), 3) for failures in range(1, 9)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]
    assert backoff.delay_s(10**9) == 3.0


def test_half_of_a_delay_is_jitter() -> None:
    assert Backoff(longest_s=3.0, random=lambda: 0.0).delay_s(100) == 1.5
    delays = {Backoff().delay_s(100) for _ in range(100)}
    assert len(delays) > 90
    assert all(1.5 <= delay <= 3.0 for delay in delays)
