"""The one place where it is decided who may transfer a call, how, and to whom.

Whoever asks - a phone by SIP REFER, keys pressed at a phone, the program itself - gets a permit
here or none, and every request is written to the audit with its result.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from bridge.model.errors import BadArgumentError, CallbridgeError, TransferDeniedError
from bridge.model.headers import Headers, checked_headers
from bridge.model.ids import CallId
from bridge.model.participants import Participant
from bridge.runtime.audit import Audit

_log = logging.getLogger(__name__)

POLICY_SECONDS: Final = 5.0
"""How long a policy may think; after that the answer is no."""
RING_SECONDS: Final = 30

_OWN_PHONE = re.compile(r"PJSIP/[0-9]{1,15}")


class TransferKind(StrEnum):
    """What kind of transfer is asked for."""

    BLIND = "blind"
    """Who transfers does not talk with the target first."""
    ATTENDED = "attended"
    """He does."""


class TransferSource(StrEnum):
    """What a request came from."""

    PHONE = "phone"
    """The transfer key of a phone: SIP REFER."""
    FEATURE_KEYS = "feature keys"
    """Digits pressed during the call."""
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Somebody wants to transfer a call."""

    call_id: CallId
    by: Participant
    """Who transfers: a party, or ``ai``."""
    target: str
    """A number as it was dialled; from the program, an endpoint, too."""
    kind: TransferKind
    source: TransferSource
    endpoint: str = ""
    """Whose phone it is, as the PBX knows it (``PJSIP/1002``); empty for the program."""
    caller_number: str = ""
    """May be pretended."""
    callee_number: str = ""
    """What the caller dialled."""


@dataclass(frozen=True, slots=True)
class TransferGrant:
    """Yes, but with other words than those that were asked for.

    target: a number or an endpoint in the place of the one that was asked for, unless that one is
    on the line already. headers: SIP headers for him. ring_time_seconds: how long it may ring.
    """

    target: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ring_time_seconds: int | None = None


Verdict: TypeAlias = bool | str | TransferGrant
"""Yes or no; a target in the place of the one asked for; or yes in other words."""

Policy: TypeAlias = Callable[[TransferRequest], Verdict | Awaitable[Verdict]]

Dial: TypeAlias = Callable[[str, str], str]
"""Makes an endpoint of (target, what was dialled). What was dialled is never more than a number:
see endpoint_for. Raises BadArgumentError."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What was granted."""

    target: str
    endpoint: str
    """What is dialled; empty for an attended transfer, whose target is on the line already."""
    headers: Headers = ()
    ring_seconds: int | None = None


class PhonePolicy:
    """Whose phones may transfer, by REFER or keys: all (True), none (False), or those endpoints.

    By default those of the PBX's own phones, whose endpoints are called by their numbers
    (``PJSIP/1002``): who comes in by a trunk does not send calls elsewhere. ``1002`` stands for
    ``PJSIP/1002``. Raises BadArgumentError for a string, any part of which would be an endpoint.
    """

    def __init__(self, *, allowed: Collection[str] | bool | None = None) -> None:
        if isinstance(allowed, str):
            raise BadArgumentError(f"phone_transfers={allowed!r}: give a list, [{allowed!r}]")
        self._all = allowed if isinstance(allowed, bool) else None
        names = () if allowed is None or isinstance(allowed, bool) else allowed
        self._endpoints = frozenset(n if "/" in n else f"PJSIP/{n}" for n in names)
        self._own = allowed is None

    def allows(self, endpoint: str) -> bool:
        """Tell whether a phone may transfer. endpoint: as the PBX knows it, ``PJSIP/1002``."""
        if self._all is not None:
            return self._all
        if self._own:
            return _OWN_PHONE.fullmatch(endpoint) is not None
        return endpoint in self._endpoints


def number_as_endpoint(target: str, dialled: str) -> str:
    """Return the PJSIP endpoint of a number; what was not dialled may be an endpoint already."""
    return target if "/" in target and target != dialled else f"PJSIP/{target}"


@dataclass(frozen=True, slots=True)
class TransferRules:
    """What decides on transfers.

    decide: the program's own word, synchronous or not; by default everything is allowed that can be
    dialled. What it raises, and what takes it longer than five seconds, is a no.
    """

    decide: Policy | None = None
    phones: PhonePolicy = field(default_factory=PhonePolicy)
    dial: Dial = number_as_endpoint


class TransferPolicy:
    """Decides on every transfer, and has each request written down."""

    def __init__(self, rules: TransferRules, audit: Audit) -> None:
        self._decide = rules.decide
        self._dial = rules.dial
        self.phones = rules.phones
        self._audit = audit

    async def ask(self, request: TransferRequest) -> Permit:
        """Return what is granted. Raises TransferDeniedError, which says why not."""
        what = f"{request.kind} transfer to {request.target}"
        try:
            permit = await self._judge(request)
        except CallbridgeError as error:
            self._note(request, what, error.error_message)
            raise
        if permit.target != request.target:
            what += f", sent to {permit.target}"
        self._note(request, what, "allowed")
        return permit

    def note_end(self, request: TransferRequest, result: str) -> None:
        """Write down how a transfer ended that was allowed."""
        self._note(request, f"{request.kind} transfer to {request.target}", result)

    def _note(self, request: TransferRequest, what: str, result: str) -> None:
        self._audit.note(request.call_id, request.by, what, by=str(request.source), result=result)

    async def _judge(self, request: TransferRequest) -> Permit:
        by_phone = request.source is not TransferSource.PROGRAM
        if by_phone and not self.phones.allows(request.endpoint):
            raise TransferDeniedError(
                f"{request.endpoint} may not transfer by phone: allow it by phone_transfers"
            )
        verdict = await self._verdict(request)
        if verdict is False:
            raise TransferDeniedError(f"the policy does not let {request.by} transfer this call")
        grant = TransferGrant(verdict) if isinstance(verdict, str) else verdict
        if not isinstance(grant, TransferGrant):
            grant = TransferGrant()
        return self._permit(request, grant)

    def _permit(self, request: TransferRequest, grant: TransferGrant) -> Permit:
        headers = checked_headers(grant.headers)
        target = request.target if grant.target is None else grant.target
        seconds = grant.ring_time_seconds
        if request.kind is TransferKind.ATTENDED and request.source is TransferSource.PHONE:
            if target != request.target:
                raise TransferDeniedError("who is on the line already cannot be another: yes or no")
            return Permit(target, "", headers, seconds)
        # What came from a phone, or from the caller, is only ever taken for a number.
        by_phone = request.source is not TransferSource.PROGRAM
        dialled = request.target if by_phone else request.callee_number
        try:
            endpoint = self._dial(target, dialled)
        except BadArgumentError as error:
            if by_phone:
                raise TransferDeniedError(error.error_message) from error
            raise
        return Permit(target, endpoint, headers, seconds)

    async def _verdict(self, request: TransferRequest) -> Verdict:
        if self._decide is None:
            return True
        try:
            async with asyncio.timeout(POLICY_SECONDS):
                verdict = self._decide(request)
                if inspect.isawaitable(verdict):
                    verdict = await verdict
        except Exception as error:  # a policy of the user may raise anything
            _log.exception("call %s: the transfer policy failed: refused", request.call_id)
            why = str(error) or type(error).__name__
            raise TransferDeniedError(f"the transfer policy failed: {why}") from error
        if verdict is not True and not isinstance(verdict, str | TransferGrant):
            return False
        return verdict
