"""The API on a real Asterisk, with people whose ears are exact: what tests of its commands need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.api.auth.dialling import DialRules, Reservation
from bridge.api.auth.principal import Principal
from bridge.directory import LiveCall
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.phones import Tone
from bridge.model.errors import CallNotFoundError, InvalidStateError
from bridge.sdk import events
from tests.integration.supervision.floor import Floor, rung
from tests.support.daemon import Reply, RunningApi, running_api
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, Pbx, Program

DIRECT: Final = "direct"
"""Dialled over the API for whoever takes the call by a media socket."""


class DirectRules(DialRules):
    """Rules that let a test dial a party whose ear is exact, which no client of the API could."""

    def check(self, target: str, principal: Principal, *, tenant: str = "") -> Reservation:
        if target == DIRECT:
            counted = super().check("PJSIP/direct", principal, tenant=tenant)
            counted.endpoint = CALLEE_ENDPOINT
            return counted
        return super().check(target, principal, tenant=tenant)


@dataclass
class Desk:
    """A running API, and people with phones."""

    api: RunningApi
    floor: Floor
    pbx: Pbx

    async def incoming(self, *, tone: Tone | None = CALLER_TONE) -> tuple[str, DirectParty]:
        """Let somebody call; return the call's id, and him."""
        info = self.pbx.instance.info.ari
        caller = await self.pbx.keep(DirectParty.call(info, "1002", tone=tone))
        call = await self.floor.program.next_call()
        return call.call_id, caller

    async def own(self) -> tuple[str, DirectParty, DirectParty]:
        """Let two talk on a call of callbridge's; return its id, the caller and the callee."""
        call_id, caller = await self.incoming()
        _, callee = await self.picked_up(
            self.api.done("POST", f"/calls/{call_id}/connect", {}), "leg.callee", CALLEE_TONE
        )
        return call_id, caller, callee

    async def picked_up(
        self, asking: Awaitable[Any], key: str, tone: Tone | None = None
    ) -> tuple[Any, DirectParty]:
        """Ask for somebody to be rung, and let him pick up. key: of his leg. Return the answer."""
        asked = asyncio.ensure_future(asking)
        try:
            leg = await rung(self.pbx, lambda i: f"-{key}-" in i)
            info = self.pbx.instance.info.ari
            party = await self.pbx.keep(DirectParty.answer(info, leg, tone=tone))
            return await asked, party
        finally:
            asked.cancel()

    async def refused(self, method: str, path: str, body: object = None, **how: Any) -> str:
        """Ask in vain; return the code of the problem."""
        reply: Reply = await self.api.ask(method, path, body, **how)
        assert reply.status >= 400, (method, path, reply.raw)
        return reply.code


@asynccontextmanager
async def opened(pbx: Pbx, folder: Path, **parts: Any) -> AsyncIterator[Desk]:
    """The API on the Asterisk of a test. parts: of the service, as for ``running_api``."""
    client = {"route": lambda _call: CALLEE_ENDPOINT}
    parts = {"dial_rules": DirectRules(), **parts}
    async with (
        running_api(pbx.instance, folder, client=client, **parts) as api,
        AsyncExitStack() as stack,
    ):
        program = Program(api.client)
        api.client.on(events.INCOMING_CALL, program.calls.put_nowait)
        await api.client.live_calls()
        yield Desk(api, Floor(pbx, program, stack), pbx)
        for call in await _left(api):
            with suppress(CallNotFoundError):
                await api.client.hang_up(call, cut=True)


async def _left(api: RunningApi) -> tuple[LiveCall, ...]:
    """Return the calls that a test has left; none when its client has gone."""
    with suppress(InvalidStateError):
        return await api.client.live_calls()
    return ()
