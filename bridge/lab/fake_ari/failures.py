"""What goes wrong in the fake server, when, and how often."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What happens to a request that a rule is for."""

    REFUSE = "REFUSE"
    DELAY = "DELAY"
    DROP_BEFORE = "DROP_BEFORE"
    """The connection drops; the request is not carried out."""
    DROP_AFTER = "DROP_AFTER"
    """The request is carried out; the connection drops before the answer."""


@dataclass
class Rule:
    """Applies to the requests that match, after ``skip`` of them, ``times`` times."""

    fault: Fault
    method: str
    resource: re.Pattern[str]
    skip: int = 0
    times: int = 1
    status: int = 500
    reason: str = "Internal Server Error"
    seconds: float = 0.0
    hits: int = 0
    """How often it was applied."""

    def takes(self, method: str, resource: str) -> bool:
        """Tell whether this request is one to fail, and count it."""
        if method != self.method or not self.resource.fullmatch(resource):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.hits >= self.times:
            return False
        self.hits += 1
        return True


@dataclass
class Failures:
    """The rules. A request takes the first rule that applies."""

    rules: list[Rule] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    """Type of event: how many of the next ones are lost."""
    doubled: dict[str, int] = field(default_factory=dict)

    def refuse(
        self,
        method: str,
        resource: str,
        *,
        status: int = 500,
        reason: str = "Internal Server Error",
        nth: int = 1,
        times: int = 1,
    ) -> Rule:
        """Refuse the ``nth`` request whose resource fully matches the pattern, and so on."""
        return self._add(
            Rule(Fault.REFUSE, method, re.compile(resource), nth - 1, times, status, reason)
        )

    def delay(
        self, method: str, resource: str, seconds: float, *, nth: int = 1, times: int = 1
    ) -> Rule:
        """Hold such requests back; on a WebSocket what is behind them waits too, as it does."""
        return self._add(
            Rule(Fault.DELAY, method, re.compile(resource), nth - 1, times, seconds=seconds)
        )

    def drop(
        self, method: str, resource: str, *, carried_out: bool, nth: int = 1, times: int = 1
    ) -> Rule:
        """Drop the connection at such a request, before or after it was carried out."""
        fault = Fault.DROP_AFTER if carried_out else Fault.DROP_BEFORE
        return self._add(Rule(fault, method, re.compile(resource), nth - 1, times))

    def lose(self, event: str, times: int = 1) -> None:
        """Lose the next events of this type."""
        self.lost[event] = self.lost.get(event, 0) + times

    def double(self, event: str, times: int = 1) -> None:
        """Send the next events of this type twice."""
        self.doubled[event] = self.doubled.get(event, 0) + times

    def take(self, method: str, resource: str) -> Rule | None:
        """Return the rule that this request falls under, and count it."""
        return next((rule for rule in self.rules if rule.takes(method, resource)), None)

    def copies(self, event: str) -> int:
        """Return how often an event of this type is to be sent now: 0, 1 or 2."""
        if self.lost.get(event, 0) > 0:
            self.lost[event] -= 1
            return 0
        if self.doubled.get(event, 0) > 0:
            self.doubled[event] -= 1
            return 2
        return 1

    def _add(self, rule: Rule) -> Rule:
        self.rules.append(rule)
        return rule
