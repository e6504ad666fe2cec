"""Whose a live call is: found out by the rules of tenancy, and noted with it once it is settled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bridge.api.auth.tenancy import Tenancy
from bridge.api.shown import state_of
from bridge.directory import LiveCall
from bridge.model.errors import InvalidStateError, ServerError, ServerUnreachableError
from bridge.model.participants import CALLEE
from bridge.model.states import CallState
from bridge.runtime.tasks import Tasks
from bridge.sdk import ActiveCall, Client
from bridge.sdk.labels import Labels

_log = logging.getLogger(__name__)

TENANT: Final = "tenant"
QUEUE: Final = "queue"
"""Labels of a call that say whose it is, where no rule can any more: see ``ActiveCall.labels``."""
NOT_CONNECTED: Final = (InvalidStateError, ServerUnreachableError)
"""What is asked of a client that is not connected, or no longer."""
_AGAIN_SECONDS: Final = 1.0
"""How soon the headers of a call are asked for again that Asterisk could not tell."""


@dataclass(slots=True)
class Home:
    """What is known of whose one call is, as long as it lives."""

    scope: tuple[str, str] | None = None
    """Tenant and queue, once they are settled."""
    headers: dict[str, str] | None = None
    """Of the caller's INVITE, once they were read."""
    reads_headers: bool = False


class Belonging:
    """Says which tenant and queue a call is of. Where rules are about headers, none until then.

    settled: called with a call's id, when its headers were read.
    """

    def __init__(
        self, client: Client, tenancy: Tenancy, *, settled: Callable[[str], object]
    ) -> None:
        self._client = client
        self._tenancy = tenancy
        self._settled = settled
        self._tasks = Tasks()

    async def close(self) -> None:
        """Read no headers any more."""
        await self._tasks.end()

    def scope(
        self, call: ActiveCall | LiveCall, live: LiveCall | None, home: Home
    ) -> tuple[str, str]:
        """Return tenant and queue of a call; once a rule has matched, they stay."""
        if home.scope is not None:
            return home.scope
        labels = labels_of(self._client, call.call_id)
        if labels is not None and TENANT in labels:
            home.scope = labels[TENANT], labels.get(QUEUE, "")
            return home.scope
        if isinstance(call, LiveCall):
            facts = _facts_of(call)
            if self._tenancy.waits(*facts) or self._has_headers_to_come(call, home):
                return "", ""
        else:
            if self._tenancy.headers and home.headers is None:
                self._read_headers(call, home)
                return "", ""
            facts = _own_facts_of(call, live)
        scope = self._tenancy.of(*facts, home.headers)
        if scope != (self._tenancy.default, "") or all(facts):
            self._settle(call.call_id, home, scope)
        return scope

    def _has_headers_to_come(self, call: LiveCall, home: Home) -> bool:
        """Tell whether an agent is to come to a call, and then its headers are read."""
        unread = bool(self._tenancy.headers) and home.headers is None
        return unread and call.own and state_of(call) is CallState.PENDING

    def _settle(self, call_id: str, home: Home, scope: tuple[str, str]) -> None:
        home.scope = scope
        labels = labels_of(self._client, call_id)
        if labels is not None and scope != (self._tenancy.default, ""):
            labels[TENANT], labels[QUEUE] = scope

    def _read_headers(self, call: ActiveCall, home: Home) -> None:
        if not home.reads_headers:
            home.reads_headers = True
            self._tasks.spawn(self._headers_read(call, home), f"headers of {call.call_id}")

    async def _headers_read(self, call: ActiveCall, home: Home) -> None:
        """Read them until they are known: without one of them it might be another's."""
        while call.state is not CallState.DISCONNECTED:
            try:
                home.headers = {
                    name: await call.header(name) for name in sorted(self._tenancy.headers)
                }
            except ServerError as error:
                _log.warning("call %s is nobody's yet: %s", call.call_id, error)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                # Whose it is, is settled now: it may be over before anybody looks.
                self._settled(call.call_id)
                return


def labels_of(client: Client, call_id: str) -> Labels | None:
    """Return the labels of a live call, as far as there is a connection."""
    with suppress(*NOT_CONNECTED):
        return client.labels(call_id)
    return None


def _facts_of(call: LiveCall) -> tuple[str, str, str]:
    """Return what was dialled, as far as is known, and the endpoints of caller and callee."""
    caller, callee = call.caller, call.callee
    return (
        callee.number if callee else "",
        caller.endpoint if caller else "",
        callee.endpoint if callee else "",
    )


def _own_facts_of(call: ActiveCall, live: LiveCall | None) -> tuple[str, str, str]:
    by_name = {party.name: party.endpoint for party in call.parties}
    callee = live.callee if live is not None else None
    return (
        call.callee_number,
        call.caller_endpoint,
        by_name.get(CALLEE, callee.endpoint if callee else ""),
    )
