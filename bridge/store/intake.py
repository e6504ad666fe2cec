"""What was written and stands nowhere but in memory yet: bounded, and what gives way is told."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from bridge.store.framing import GIVING_WAY, RANK, Kind
from bridge.store.records import Writable

Taken = tuple[int, Kind, Writable]
"""Serial, kind and the record."""

BOUND: Final = 10_000
"""Records of each rank that are kept in memory."""


class Intake:
    """A queue that takes at once, whatever happens behind it.

    bound: how many of each rank of ``GIVING_WAY`` are kept; of more, the oldest of the same rank
    gives way. Events have a bound of their own, so that a flood of them costs no note.
    """

    def __init__(self, bound: int = BOUND) -> None:
        self._bound = bound
        self._ranks: tuple[deque[Taken], ...] = tuple(deque() for _ in GIVING_WAY)
        self.dropped: Counter[Kind] = Counter()
        """How many gave way, by kind."""

    def __len__(self) -> int:
        return sum(len(rank) for rank in self._ranks)

    def put(self, serial: int, kind: Kind, record: Writable) -> None:
        """Take a record. Serials grow from one to the next."""
        rank = self._ranks[RANK[kind]]
        if len(rank) >= self._bound:
            self.dropped[rank.popleft()[1]] += 1
        rank.append((serial, kind, record))

    def take(self, limit: int) -> list[Taken]:
        """Return the oldest, at most ``limit``, in the order in which they came."""
        taken: list[Taken] = []
        while len(taken) < limit:
            filled = [rank for rank in self._ranks if rank]
            if not filled:
                break
            taken.append(min(filled, key=lambda rank: rank[0][0]).popleft())
        return taken
