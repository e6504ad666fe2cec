"""Who hears whom, on a machine where a voice may come a little late.

A voice in the wrong ear fails at once. One that is not there yet is waited for: how soon it is
there after a command is what the tests of latency measure.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeVar

_T = TypeVar("_T")

_LATE_S: Final = 3.0
_SMEARED: Final = 2
"""So many measurements, one after the other, may find faintly what nobody says to him: a frame that
was lost, or a voice that just begins, smears tones over others. A leak stays."""


class WrongEarError(AssertionError):
    """Somebody clearly hears whom he must not hear. No second look is taken at that."""


class UnclearError(AssertionError):
    """Somebody hears a voice too faintly for it to be there, and too loud for silence.

    there: what is heard besides, clearly. unclear: what is not, as far as it has a name.
    """

    def __init__(
        self, why: object, *, there: Collection[object] = (), unclear: Collection[object] = ()
    ) -> None:
        super().__init__(why)
        self.there = frozenset(there)
        self.unclear = frozenset(unclear)


def clearly(levels: Mapping[_T, float], *, absent_dbfs: float, present_dbfs: float) -> set[_T]:
    """Return what is there, by its level in dBFS. Raises UnclearError when something is between."""
    there = {one for one, dbfs in levels.items() if dbfs > present_dbfs}
    unclear = {one: dbfs for one, dbfs in levels.items() if absent_dbfs <= dbfs <= present_dbfs}
    if unclear:
        raise UnclearError(unclear, there=there, unclear=unclear)
    return there


async def settles(
    measure: Callable[[], Awaitable[Collection[_T]]],
    expected: Collection[_T],
    *,
    may_last: Collection[_T] = (),
) -> None:
    """Measure until exactly ``expected`` is heard.

    measure: raises UnclearError, with all that it has measured. may_last: what may be heard a
    little longer, as music is. Raises WrongEarError at once when anything else is heard,
    UnclearError at the third measurement when it stays faint, and AssertionError within seconds
    when something is missing or unclear.
    """
    wanted: frozenset[object] = frozenset(expected)
    allowed = wanted | frozenset(may_last)
    end = time.monotonic() + _LATE_S
    smeared = 0
    while True:
        late = time.monotonic() > end
        unclear: UnclearError | None = None
        heard: frozenset[object]
        try:
            heard = frozenset(await measure())
        except UnclearError as error:
            heard, unclear = error.there, error
        told = f"too much: {set(heard - wanted)}, missing: {set(wanted - heard)}"
        if not heard <= allowed:
            raise WrongEarError(told)
        if unclear is not None:
            smeared = smeared + 1 if unclear.unclear - allowed else 0
            if late or smeared > _SMEARED:
                raise unclear
            continue
        if heard == wanted:
            return
        assert not late, told
        smeared = 0
