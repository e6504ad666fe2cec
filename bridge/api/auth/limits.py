"""How often somebody may ask. Clocks are arguments."""

from __future__ import annotations

import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bridge.api.auth.principal import Principal
from bridge.model.errors import ConfigurationError, RateLimitedError

REMEMBERED: Final = 10_000
"""Buckets that are kept, those used last: one that is forgotten is full again."""
WAITING: Final = 1000
WAITING_OF_ONE: Final = 200
_IPV6_SITE: Final = 64
_SOON: Final = 5.0


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many a second in the long run."""

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if not (self.per_second > 0 and self.burst >= 1):
            raise ConfigurationError(
                f"{self.per_second} a second with a burst of {self.burst} is no rate: "
                "more than 0 a second, and a burst of at least 1"
            )


COMMANDS: Final = Rate(per_second=20.0, burst=60)
READS: Final = Rate(per_second=100.0, burst=300)
FAILURES: Final = Rate(per_second=0.5, burst=20)
"""Attempts with a wrong key from one address: twenty at once, then one in two seconds."""


class Buckets:
    """A token bucket for each of many, of which a bounded number is remembered.

    clock: seconds, monotonic.
    """

    def __init__(self, rate: Rate, *, clock: Callable[[], float], kept: int = REMEMBERED) -> None:
        self._rate = rate
        self._clock = clock
        self._kept = kept
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def wait(self, who: Hashable) -> float:
        """Return the seconds until there is a token for somebody: 0 when there is one."""
        return max(0.0, (1.0 - self._level(who)) / self._rate.per_second)

    def take(self, who: Hashable) -> float:
        """Take a token and return 0; or take none and return the seconds until there is one."""
        level = self._level(who)
        if level < 1.0:
            return (1.0 - level) / self._rate.per_second
        self._levels[who] = (level - 1.0, self._clock())
        self._levels.move_to_end(who)
        while len(self._levels) > self._kept:
            self._levels.popitem(last=False)
        return 0.0

    def _level(self, who: Hashable) -> float:
        known = self._levels.get(who)
        if known is None:
            return float(self._rate.burst)
        level, at = known
        passed = max(0.0, self._clock() - at)
        return min(float(self._rate.burst), level + passed * self._rate.per_second)


class RateLimits:
    """How many commands and reads a principal may ask for; each key has buckets of its own."""

    def __init__(
        self,
        *,
        commands: Rate = COMMANDS,
        reads: Rate = READS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._commands = Buckets(commands, clock=clock)
        self._reads = Buckets(reads, clock=clock)

    def check(self, principal: Principal, *, read: bool = False) -> None:
        """Count a request. Raises RateLimitedError, which says when it is worth trying again."""
        buckets = self._reads if read else self._commands
        _refuse(buckets.take(principal.identity), "requests")


class FailureLimits:
    """How many wrong keys one address may show.

    An IPv6 address counts as its /64, which is what one site has.
    """

    def __init__(
        self, rate: Rate = FAILURES, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._buckets = Buckets(rate, clock=clock)

    def check(self, remote: str) -> None:
        """Raise RateLimitedError when an address has shown too many. Empty: not known, no limit."""
        if remote:
            _refuse(self._buckets.wait(_site(remote)), "wrong keys from this address")

    def failed(self, remote: str) -> None:
        """Count a wrong key."""
        if remote:
            self._buckets.take(_site(remote))


class WaitingRoom:
    """How many may be connected at a time who have not said who they are.

    most: all together; of_one: from one address, which may be a proxy's.
    """

    def __init__(self, *, most: int = WAITING, of_one: int = WAITING_OF_ONE) -> None:
        self._most, self._of_one = most, of_one
        self._waiting: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._waiting.total()

    @contextmanager
    def enter(self, remote: str) -> Iterator[None]:
        """Be in it for the length of the block. Raises RateLimitedError when there is no room."""
        site = _site(remote)
        if len(self) >= self._most or self._waiting[site] >= self._of_one:
            raise RateLimitedError(
                "too many sockets wait for their first frame: send the Authorization header, or "
                f"try again in {_SOON:g} s",
                retry_after=_SOON,
            )
        self._waiting[site] += 1
        try:
            yield
        finally:
            self._waiting[site] -= 1
            if not self._waiting[site]:
                del self._waiting[site]


def _site(remote: str) -> str:
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return remote
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_SITE), strict=False))


def _refuse(seconds: float, what: str) -> None:
    if seconds > 0:
        raise RateLimitedError(
            f"too many {what}: try again in {seconds:.1f} s", retry_after=seconds
        )
