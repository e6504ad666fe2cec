"""What may be dialled, and how much of it: against toll fraud.

What is judged is the very string that Asterisk is to dial. Asterisk 22 takes ``PJSIP/1002/sip:…``
for a call to any address, ``PJSIP/0900…@trunk`` for a number by a trunk, ``Local/…`` for whatever
the dialplan makes of it (``chan_pjsip.c``, ``request()``; ``resource_channels.c``): so a wildcard
of an allowed pattern never stands for ``@``, ``/``, ``:``, nor for ``*`` and ``#``, which begin a
provider's codes (call forwarding), while one of a denied pattern stands for everything.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, TypeVar

from bridge.api.auth.patterns import ANYTHING, compiled
from bridge.api.auth.principal import Principal
from bridge.model.errors import BadArgumentError, ConfigurationError, DialDeniedError
from bridge.protocol.permissions import Role
from bridge.sdk.routing import DEFAULT_ENDPOINT, endpoint_for

_log = logging.getLogger(__name__)

K = TypeVar("K")

OWN_ENDPOINTS: Final = ("PJSIP/*",)
"""Allowed unless said otherwise: the PBX's endpoints by name, nothing by a trunk or an address."""
_WILD: Final = "[A-Za-z0-9_.+-]"
_DIALLED: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}/[A-Za-z0-9_.+*#@:/-]{1,200}")
"""All that is ever dialled: no ``&``, ``,``, ``;``, ``|``, quotes, spaces, escapes, variables."""
_BETWEEN_SEGMENTS: Final = re.compile("[/@:]")
_NUMBER: Final = re.compile(r"[+*#0-9][+*#0-9.-]*")
_SEPARATORS: Final = re.compile("[.-]")
_WINDOW: Final = 60.0
_REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRule:
    """What a tenant may have dialled.

    allow, deny: patterns (see ``bridge.api.auth.patterns``) of what Asterisk dials, such as
    ``PJSIP/+49*@trunk``. One without a ``/`` is of numbers: an allowed one is dialled as the daemon
    dials numbers; a denied one may not be in anything that is dialled, by whatever trunk. Deny
    beats allow. concurrent: outbound legs at a time, of the tenant, and of each of its keys.
    per_minute: attempts. None: no limit.
    """

    allow: tuple[str, ...] = OWN_ENDPOINTS
    deny: tuple[str, ...] = ()
    concurrent: int | None = 100
    concurrent_by_key: int | None = None
    per_minute: int | None = 120
    per_minute_by_key: int | None = None

    def __post_init__(self) -> None:
        limits = (
            self.concurrent,
            self.concurrent_by_key,
            self.per_minute,
            self.per_minute_by_key,
        )
        if any(limit is not None and limit < 0 for limit in limits):
            raise ConfigurationError("a limit of what is dialled is less than 0: give 0 or more")


class Reservation:
    """An outbound leg that counts: from the check on, until it is over.

    endpoint: what is to be dialled, and nothing else. As a context manager it is released at the
    end of the block, unless ``keep_while`` said how long the leg lives.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._alive: Callable[[], bool] | None = None
        self._released = False

    @property
    def counts(self) -> bool:
        """Whether the leg is there."""
        if not self._released and self._alive is not None and not self._alive():
            self._released = True
        return not self._released

    def keep_while(self, alive: Callable[[], bool]) -> None:
        """Count the leg as long as a function says so. It is called often, and must be cheap."""
        self._alive = alive

    def release(self) -> None:
        """Count it no longer."""
        self._released = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None or self._alive is None:
            self.release()


@dataclass
class _Count:
    """What one tenant, or one key, dials."""

    legs: list[Reservation] = field(default_factory=list)
    attempts: deque[float] = field(default_factory=deque)

    def look(self, now: float) -> None:
        self.legs = [leg for leg in self.legs if leg.counts]
        while self.attempts and self.attempts[0] <= now - _WINDOW:
            self.attempts.popleft()

    @property
    def empty(self) -> bool:
        return not self.legs and not self.attempts


class DialRules:
    """Decides on everything that the API has dialled.

    rule: for tenants that have none of their own in ``tenants``. endpoint: how a number is dialled,
    as the Client has it. international: what is dialled for ``+``, so that what is denied is denied
    in both ways of writing. clock: seconds, monotonic. Raises ConfigurationError.
    """

    def __init__(
        self,
        rule: DialRule | None = None,
        *,
        tenants: Mapping[str, DialRule] | None = None,
        endpoint: str = DEFAULT_ENDPOINT,
        international: str = "00",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._default = _Judge(rule or DialRule(), endpoint, international)
        self._tenants = {
            tenant: _Judge(one, endpoint, international) for tenant, one in (tenants or {}).items()
        }
        self._by_tenant: dict[str, _Count] = {}
        self._by_key: dict[tuple[str, str, str], _Count] = {}

    def endpoint_of(self, target: str) -> str:
        """Return what Asterisk dials for a number or an endpoint. Raises BadArgumentError."""
        found = endpoint_for(target, self._endpoint, dialled="")
        technology, _, rest = found.partition("/")
        if not _DIALLED.fullmatch(found):
            raise BadArgumentError(
                f"{target!r} is nothing to be dialled: a number or one endpoint is, without options"
            )
        # Asterisk finds a technology in either case; what follows it depends on how it is written.
        return f"{'PJSIP' if technology.upper() == 'PJSIP' else technology}/{rest}"

    def allows(self, target: str, *, tenant: str) -> bool:
        """Tell whether a tenant may have this dialled at all, and count nothing."""
        try:
            return self._judge(tenant).allows(self.endpoint_of(target))
        except BadArgumentError:
            return False

    def attempt(self, target: str, *, tenant: str, by: str) -> bool:
        """Tell whether a tenant may have this dialled now, and count the attempt, not the leg.

        For what nobody asked for over the API. by: what wants it, which is counted as a key is.
        """
        asker = Principal(by, Role.PROGRAM, tenant)
        try:
            with self.check(target, asker, tenant=tenant):
                return True
        except (BadArgumentError, DialDeniedError) as error:
            _log.warning("%s of the tenant %s: %s", by, tenant, error)
            return False

    def check(self, target: str, principal: Principal, *, tenant: str = "") -> Reservation:
        """Return what counts the leg that is about to be rung.

        target: a number or an endpoint. tenant: whose call it is for, by default who asks'. Raises
        DialDeniedError, BadArgumentError.
        """
        of = tenant or principal.tenant
        judge = self._judge(of)
        reservation = Reservation(self.endpoint_of(target))
        if not judge.allows(reservation.endpoint):
            raise DialDeniedError(
                f"{target} is not on the list of what the tenant {of} may have dialled: "
                "allow it in the dial rules"
            )
        self._count(of, principal, judge.rule, reservation)
        return reservation

    def check_all(
        self, targets: Iterable[str], principal: Principal, *, tenant: str = ""
    ) -> Reservations:
        """Check several that are rung together; when one is refused, none counts."""
        checked: list[Reservation] = []
        try:
            checked.extend(self.check(one, principal, tenant=tenant) for one in targets)
        except BaseException:
            for one in checked:
                one.release()
            raise
        return Reservations(tuple(checked))

    def live(self, tenant: str) -> int:
        """Return how many outbound legs of a tenant there are."""
        count = self._by_tenant.get(tenant)
        return 0 if count is None else sum(leg.counts for leg in count.legs)

    def _judge(self, tenant: str) -> _Judge:
        return self._tenants.get(tenant, self._default)

    def _count(self, tenant: str, principal: Principal, rule: DialRule, leg: Reservation) -> None:
        now = self._clock()
        self._forget(now)
        whole = self._by_tenant.setdefault(tenant, _Count())
        own = self._by_key.setdefault(principal.identity, _Count())
        for count, concurrent, per_minute, whose in (
            (whole, rule.concurrent, rule.per_minute, f"the tenant {tenant}"),
            (own, rule.concurrent_by_key, rule.per_minute_by_key, f"the key {principal.name}"),
        ):
            count.look(now)
            if concurrent is not None and len(count.legs) >= concurrent:
                raise DialDeniedError(
                    f"{whose} has {concurrent} outbound legs, which is its limit: end one first"
                )
            if per_minute is not None and len(count.attempts) >= per_minute:
                raise DialDeniedError(
                    f"{whose} has dialled {per_minute} times within a minute, which is its limit: "
                    "wait"
                )
        for count in (whole, own):
            count.legs.append(leg)
            count.attempts.append(now)

    def _forget(self, now: float) -> None:
        _drop_empty(self._by_tenant, now)
        _drop_empty(self._by_key, now)


class Reservations:
    """Several legs that are rung together, of which one may become a leg that stays."""

    def __init__(self, legs: tuple[Reservation, ...]) -> None:
        self.legs = legs

    @property
    def endpoints(self) -> tuple[str, ...]:
        """What is to be dialled, in the order that was asked for."""
        return tuple(leg.endpoint for leg in self.legs)

    def keep_while(self, alive: Callable[[str], bool]) -> None:
        """Count each as long as a function of its endpoint says so."""
        for leg in self.legs:
            leg.keep_while(_bound(alive, leg.endpoint))

    def __iter__(self) -> Iterator[Reservation]:
        return iter(self.legs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for leg in self.legs:
            leg.__exit__(kind, error, trace)


class _Judge:
    """The patterns of one rule."""

    def __init__(self, rule: DialRule, endpoint: str, international: str) -> None:
        self.rule = rule
        self._international = international
        self._allow = tuple(
            compiled(_upper(one if "/" in one else endpoint.format(number=one)), wild=_WILD)
            for one in rule.allow
        )
        self._deny = tuple(
            compiled(one, wild=ANYTHING, ignore_case=True) for one in rule.deny if "/" in one
        )
        self._deny_numbers = tuple(
            compiled(one, wild=ANYTHING, ignore_case=True) for one in rule.deny if "/" not in one
        )

    def allows(self, endpoint: str) -> bool:
        forms = _forms(endpoint)
        if not all(_any(self._allow, _upper(form)) for form in forms):
            return False
        for form in self._spellings(forms):
            if _any(self._deny, form):
                return False
            segments = _BETWEEN_SEGMENTS.split(form)[1:]
            if any(_any(self._deny_numbers, one) for one in segments):
                return False
        return True

    def _spellings(self, forms: tuple[str, ...]) -> Iterator[str]:
        """Yield each form, and with the international prefix in its other spelling."""
        for form in forms:
            yield form
            if self._international:
                prefix = re.escape(self._international)
                yield re.sub(rf"(?<=[/@:]){prefix}", "+", form)
                yield re.sub(r"(?<=[/@:])\+", self._international, form)


def _forms(endpoint: str) -> tuple[str, ...]:
    """Return an endpoint as it is written and, for a number by a trunk, without separators.

    A provider takes ``0-900.1`` for ``09001`` (RFC 3966, visual separators); the name of an
    endpoint is a name, whatever is in it.
    """
    technology, *segments = _BETWEEN_SEGMENTS.split(endpoint)
    if not segments[1:]:
        # A technology and a name, nothing else.
        return (endpoint,)
    marks = _BETWEEN_SEGMENTS.findall(endpoint)
    plain = technology + "".join(
        mark + (_SEPARATORS.sub("", one) if _NUMBER.fullmatch(one) else one)
        for mark, one in zip(marks, segments, strict=True)
    )
    return (endpoint,) if plain == endpoint else (endpoint, plain)


def _upper(endpoint: str) -> str:
    technology, slash, rest = endpoint.partition("/")
    return f"{technology.upper()}{slash}{rest}"


def _any(patterns: tuple[re.Pattern[str], ...], text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in patterns)


def _bound(alive: Callable[[str], bool], endpoint: str) -> Callable[[], bool]:
    return lambda: alive(endpoint)


def _drop_empty(counts: dict[K, _Count], now: float) -> None:
    """Forget who dials nothing, once there are many. Who does is bounded by his limits."""
    if len(counts) < _REMEMBERED:
        return
    for key, count in list(counts.items()):
        count.look(now)
        if count.empty:
            del counts[key]
