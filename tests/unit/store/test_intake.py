"""The queue in memory: takes at once, in order, and is bounded."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bridge.store.framing import RANK, Kind
from bridge.store.intake import Intake
from tests.support.records import note

KINDS = st.lists(st.sampled_from(Kind), max_size=60)


@given(KINDS, st.integers(1, 10))
def test_what_fits_is_given_back_in_order(kinds: list[Kind], limit: int) -> None:
    intake = Intake(bound=60)
    for serial, kind in enumerate(kinds):
        intake.put(serial, kind, note())
    taken = []
    while some := intake.take(limit):
        assert len(some) <= limit
        taken += [(serial, kind) for serial, kind, _ in some]
    assert taken == list(enumerate(kinds))
    assert len(intake) == 0
    assert not intake.dropped


@given(KINDS, st.integers(1, 5))
def test_of_more_the_oldest_of_the_same_rank_give_way(kinds: list[Kind], bound: int) -> None:
    intake = Intake(bound=bound)
    for serial, kind in enumerate(kinds):
        intake.put(serial, kind, note())
    kept = intake.take(100)
    for rank in set(RANK.values()):
        came = [serial for serial, kind in enumerate(kinds) if RANK[kind] == rank]
        assert [serial for serial, kind, _ in kept if RANK[kind] == rank] == came[-bound:]
    assert intake.dropped == Counter(kinds) - Counter(kind for _, kind, _ in kept)
