"""What routes ask of an incoming call: whose it is, and its SIP headers, which have to be read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from bridge.api.programs.routes import Facts
from bridge.model.errors import ServerError
from bridge.protocol.views import CallView
from bridge.sdk import ActiveCall

_log = logging.getLogger(__name__)

TENANT_SECONDS: Final = 2.0
"""How long it is waited at a time until it is known whose a call is."""
_LOOK_SECONDS: Final = 0.02


class FactFinder:
    """Finds out what routes ask for, and remembers headers that were read until ``forget``.

    view_of: shows a live call. headers_for: names of the headers that those ask for who may get a
    call of a tenant and a queue.
    """

    def __init__(
        self,
        view_of: Callable[[str], CallView | None],
        headers_for: Callable[[str, str], frozenset[str]],
    ) -> None:
        self._view_of = view_of
        self._headers_for = headers_for
        self._headers: dict[str, dict[str, str]] = {}

    async def of(self, call: ActiveCall) -> Facts | None:
        """Return what is known of a call; None when it is over.

        Without a tenant when it is not known yet whose it is. A header that cannot be read is as if
        it were not there.
        """
        view = await self._settled(call.call_id)
        if view is None:
            return None
        known = self._headers.setdefault(call.call_id, {})
        failed: set[str] = set()
        # Those alone that matter for it: nobody has others' calls wait for what he asks for.
        while missing := self._headers_for(view.tenant, view.queue) - known.keys() - failed:
            name = min(missing)
            try:
                known[name] = await call.header(name)
            except ServerError as error:
                failed.add(name)
                _log.warning("call %s: header %s is not known: %s", call.call_id, name, error)
        return Facts(
            tenant=view.tenant,
            queue=view.queue,
            dialled=call.callee_number,
            endpoint=call.caller_endpoint,
            headers={name.lower(): value for name, value in known.items()},
        )

    def lacks(self, call_id: str, headers: frozenset[str]) -> bool:
        """Tell whether some of these headers of a call were not read."""
        return not headers <= self._headers.get(call_id, {}).keys()

    def forget(self, call_id: str) -> None:
        """Remember nothing of a call any more."""
        self._headers.pop(call_id, None)

    def __len__(self) -> int:
        """Return of how many calls headers are remembered."""
        return len(self._headers)

    async def _settled(self, call_id: str) -> CallView | None:
        """Return a call when it is known whose it is, which may depend on its headers."""
        loop = asyncio.get_running_loop()
        end = loop.time() + TENANT_SECONDS
        while True:
            view = self._view_of(call_id)
            if view is None or view.tenant or loop.time() > end:
                return view
            await asyncio.sleep(_LOOK_SECONDS)
