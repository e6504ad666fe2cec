"""Whose a call is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.api.auth.patterns import compiled
from bridge.model.errors import ConfigurationError
from bridge.protocol.permissions import EVERY_TENANT

DEFAULT_TENANT: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRule:
    """Calls that are a tenant's: all that is given must match.

    dialled: pattern of the number that the caller dialled. caller, callee: patterns of their
    endpoints, such as ``PJSIP/acme-*``. header: a SIP header and the pattern of its value. See
    ``bridge.api.auth.patterns``.
    """

    tenant: str
    queue: str = ""
    dialled: str | None = None
    caller: str | None = None
    callee: str | None = None
    header: tuple[str, str] | None = None


class Tenancy:
    """Says which tenant and queue a call belongs to: by the first rule that matches.

    default: the tenant of calls that no rule is about. Raises ConfigurationError for a rule that is
    about nothing, and for a tenant that cannot be one.
    """

    def __init__(self, rules: Sequence[TenantRule] = (), *, default: str = DEFAULT_TENANT) -> None:
        self.default = _checked(default)
        self._rules = tuple(_Rule(rule) for rule in rules)

    @property
    def headers(self) -> frozenset[str]:
        """Names, in lower case, of the SIP headers that some rule asks for."""
        return frozenset(rule.header[0] for rule in self._rules if rule.header is not None)

    def of(
        self,
        dialled: str,
        caller_endpoint: str,
        callee_endpoint: str,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[str, str]:
        """Return tenant and queue. What is not known is empty, and matches no rule about it."""
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        facts = (dialled, caller_endpoint, callee_endpoint)
        for rule in self._rules:
            if rule.matches(facts, lowered):
                return rule.tenant, rule.queue
        return self.default, ""

    def waits(self, dialled: str, caller_endpoint: str, callee_endpoint: str) -> bool:
        """Tell whether a call may turn out to be another's, once it is known who dialled what.

        Until then it is nobody's: a tenant does not see the first moments of another's calls. For
        who is called, and for headers, a call does not wait: perhaps there are none.
        """
        facts = (dialled, caller_endpoint, callee_endpoint)
        for rule in self._rules:
            if rule.matches(facts, {}):
                return False
            if rule.waits(facts):
                return True
        return False


class _Rule:
    def __init__(self, rule: TenantRule) -> None:
        self.tenant, self.queue = _checked(rule.tenant), rule.queue
        given = (rule.dialled, rule.caller, rule.callee)
        if all(one is None for one in given) and rule.header is None:
            raise ConfigurationError(
                f"a rule of the tenant {rule.tenant!r} says nothing of its calls: "
                "give dialled, caller, callee or header"
            )
        self._patterns = tuple(None if one is None else compiled(one) for one in given)
        self.header: tuple[str, re.Pattern[str]] | None = None
        if rule.header is not None:
            name, pattern = rule.header
            self.header = (name.lower(), compiled(pattern))

    def waits(self, facts: tuple[str, str, str]) -> bool:
        """Tell whether it could match once dialled number and caller are known that are not."""
        if self.header is not None:
            return False
        open_ = False
        for pattern, fact, comes in zip(self._patterns, facts, (True, True, False), strict=True):
            if pattern is None:
                continue
            if not fact and comes:
                open_ = True
            elif not (fact and pattern.fullmatch(fact)):
                return False
        return open_

    def matches(self, facts: tuple[str, str, str], headers: Mapping[str, str]) -> bool:
        for pattern, fact in zip(self._patterns, facts, strict=True):
            if pattern is not None and not (fact and pattern.fullmatch(fact)):
                return False
        if self.header is None:
            return True
        name, pattern = self.header
        return name in headers and pattern.fullmatch(headers[name]) is not None


def _checked(tenant: str) -> str:
    if not tenant or tenant == EVERY_TENANT:
        raise ConfigurationError(f"{tenant!r} cannot be a tenant's name: write one like 'acme'")
    return tenant
