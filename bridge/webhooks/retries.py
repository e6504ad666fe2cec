"""When what was not taken is sent again, and when no more. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often and how long one event is tried.

    first_seconds: the longest wait before the second attempt; it doubles with each attempt, to
    longest_seconds. attempts, seconds: when either is reached, the delivery is dead.
    """

    first_seconds: float = 2.0
    longest_seconds: float = 3600.0
    attempts: int = 20
    seconds: float = 24 * 3600.0

    def wait(self, attempts: int, *, chance: float, asked: float | None = None) -> float:
        """Return how long to wait after so many attempts, in seconds.

        chance: from 0 to 1, drawn anew each time: half the wait is left to it, so that many who
        failed together do not come again together. asked: by the receiver (``Retry-After``).
        """
        # 2 ** 40 is beyond any wait, and within any float.
        longest = min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempts - 1, 40))
        wait = longest * (0.5 + 0.5 * chance)
        return wait if asked is None else max(wait, min(asked, self.longest_seconds))

    def over(self, attempts: int, *, age: float) -> bool:
        """Tell whether no more is tried; age: seconds since the event."""
        return attempts >= self.attempts or age >= self.seconds
