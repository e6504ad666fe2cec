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


@dataclass(eq=False)
class Mishap:
    """What happens to the next events of a type, ``times`` times."""

    event: str
    application: str | None
    times: int
    sent_after: tuple[float, ...]
    """Seconds until each copy is sent; none: it is lost."""


@dataclass
class Failures:
    """The rules. A request takes the first rule that applies."""

    rules: list[Rule] = field(default_factory=list)
    mishaps: list[Mishap] = field(default_factory=list)
    """What happens to events that are to come."""

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

    def lose(self, event: str, times: int = 1, *, application: str | None = None) -> None:
        """Lose the next events of this type, those of one application or of any."""
        self.mishaps.append(Mishap(event, application, times, ()))

    def double(self, event: str, times: int = 1, *, application: str | None = None) -> None:
        """Send the next events of this type twice."""
        self.mishaps.append(Mishap(event, application, times, (0.0, 0.0)))

    def hold_back(
        self, event: str, seconds: float, times: int = 1, *, application: str | None = None
    ) -> None:
        """Send the next events of this type late, behind those that come after them."""
        self.mishaps.append(Mishap(event, application, times, (seconds,)))

    def take(self, method: str, resource: str) -> Rule | None:
        """Return the rule that this request falls under, and count it."""
        return next((rule for rule in self.rules if rule.takes(method, resource)), None)

    def fate(self, event: str, application: str) -> tuple[float, ...]:
        """Return when an event is to be sent: seconds from now, one for each copy."""
        for mishap in self.mishaps:
            if mishap.event == event and mishap.application in {None, application}:
                mishap.times -= 1
                if mishap.times <= 0:
                    self.mishaps.remove(mishap)
                return mishap.sent_after
        return (0.0,)

    def _add(self, rule: Rule) -> Rule:
        self.rules.append(rule)
        return rule
