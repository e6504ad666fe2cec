"""How long to wait before connecting again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

_system_random = secrets.SystemRandom()


@dataclass(frozen=True)
class Backoff:
    """Exponential delays with jitter: the first attempt at once, then never over ``longest_s``."""

    shortest_s: float = 0.1
    longest_s: float = 3.0
    random: Callable[[], float] = _system_random.random
    """A number in [0, 1)."""

    def delay_s(self, failures: int) -> float:
        """Return the wait before the next attempt, after this many failed ones.

        Half of it is jitter, so that many programs do not return to a server all at once.
        """
        if failures == 0:
            return 0.0
        # The exponent is bounded for the sake of a link that is down for days.
        ceiling = min(self.longest_s, self.shortest_s * 2.0 ** min(failures - 1, 32))
        return ceiling * (0.5 + 0.5 * self.random())
