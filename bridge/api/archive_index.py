"""Where recordings stand in the list of all: a part of it is found without a look at the rest."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from typing import Final, NamedTuple, TypeAlias

import msgspec

Key: TypeAlias = tuple[float, str]
"""When a recording began, in seconds since 1970, and its id."""

_CHUNK: Final = 4096
"""Keys that are sorted at once, for some milliseconds: meanwhile nothing else runs."""
_FEW: Final = 100


class Scope(msgspec.Struct, frozen=True):
    """Whose a call is; empty: nobody's who sees but some tenants."""

    tenant: str = ""
    queue: str = ""


class InCall(NamedTuple):
    """What lies in the folder of one call."""

    scope: Scope
    keys: tuple[Key, ...]


class ArchiveIndex:
    """The keys of all recordings, in order, by whose they are; some 350 bytes for each."""

    def __init__(self) -> None:
        self._calls: dict[str, InCall] = {}
        self._ordered: dict[Scope, list[Key]] = {}

    @property
    def calls(self) -> frozenset[str]:
        """The calls that are known, by their ids."""
        return frozenset(self._calls)

    def __contains__(self, call_id: str) -> bool:
        """Tell whether a call is known."""
        return call_id in self._calls

    def put(self, found: Mapping[str, InCall]) -> None:
        """Know calls as they are now, each instead of what was known of it."""
        fresh: dict[Scope, list[Key]] = {}
        for call_id, call in found.items():
            self.forget(call_id)
            self._calls[call_id] = call
            if call.keys:
                fresh.setdefault(call.scope, []).extend(call.keys)
        for scope, keys in fresh.items():
            there = self._ordered.setdefault(scope, [])
            if len(keys) <= _FEW:
                for key in keys:
                    insort(there, key)
            else:
                runs = (sorted(keys[at : at + _CHUNK]) for at in range(0, len(keys), _CHUNK))
                self._ordered[scope] = list(merge(there, *runs))

    def forget(self, call_id: str) -> None:
        """Know nothing of a call."""
        call = self._calls.pop(call_id, None)
        if call is None or not call.keys:
            # Of who has no recordings there may be no keys at all.
            return
        there = self._ordered[call.scope]
        for key in call.keys:
            del there[bisect_left(there, key)]
        if not there:
            del self._ordered[call.scope]

    def newest_first(self, sees: Callable[[str, str], bool], before: Key | None) -> Iterator[Key]:
        """Return the keys that somebody sees, and that come after ``before`` in this order.

        Nothing may be put or forgotten until all that is wanted of them was taken.
        """
        seen = (keys for scope, keys in self._ordered.items() if sees(scope.tenant, scope.queue))
        return merge(*(_backwards(keys, before) for keys in seen), reverse=True)


def _backwards(keys: list[Key], before: Key | None) -> Iterable[Key]:
    end = len(keys) if before is None else bisect_left(keys, before)
    return (keys[at] for at in range(end - 1, -1, -1))
