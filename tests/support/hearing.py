"""Who hears whom, on a machine where a voice may come a little late.

A voice in the wrong ear fails at once. One that is not there yet is waited for: how soon it is
there after a command is what the tests of latency measure.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

_T = TypeVar("_T")

_LATE_S: Final = 3.0


class UnclearError(AssertionError):
    """Somebody hears a voice too faintly for it to be there, and too loud for silence."""


async def settles(
    measure: Callable[[], Awaitable[Collection[_T]]],
    expected: Collection[_T],
    *,
    may_last: Collection[_T] = (),
) -> None:
    """Measure until exactly ``expected`` is heard.

    may_last: what may be heard a little longer, as music is. Raises AssertionError at once when
    anything else is heard, and within seconds when something is missing or unclear.
    """
    end = time.monotonic() + _LATE_S
    while True:
        late = time.monotonic() > end
        try:
            heard = set(await measure())
        except UnclearError:
            if late:
                raise
            continue
        extra, missing = heard - set(expected), set(expected) - heard
        if not extra and not missing:
            return
        assert not late, f"too much: {extra}, missing: {missing}"
        assert extra <= set(may_last), f"too much: {extra}, missing: {missing}"
