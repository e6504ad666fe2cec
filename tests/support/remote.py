"""The Asterisk of a test whose programs are at a daemon: the same tests, by URL."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bridge.api.auth.dialling import DialRules, Reservation
from bridge.api.auth.principal import Principal
from bridge.runtime import CallEngine, Controller
from bridge.sdk import ActiveCall, Client
from bridge.sdk.routing import DEFAULT_ENDPOINT, endpoint_for
from tests.support.daemon import RunningApi, running_api
from tests.support.pbx import Pbx, Program

_AT_THE_DAEMON = frozenset(
    {
        "feature_keys",
        "keys",
        "parking_slots",
        "phone_transfers",
        "probe",
        "send_buffer_seconds",
        "supervisors",
        "transfer_policy",
    }
)
"""Arguments of Client that a program by URL leaves to the daemon."""


class AnythingGoes(DialRules):
    """Lets the parties of tests be dialled, whose endpoints no rule would allow."""

    def check(self, target: str, principal: Principal, *, tenant: str = "") -> Reservation:
        """Return what counts the leg, which has no limit here."""
        del principal, tenant
        return Reservation(endpoint_for(target, DEFAULT_ENDPOINT, dialled=""))


class RemotePbx(Pbx):
    """An Asterisk with a daemon beside it, in the process of the test."""

    api: RunningApi | None = None
    _before: Client | None = None
    """The last program that has no name of its own: the next takes its place, as in process."""
    _there: dict[str, ActiveCall]
    """The calls of the daemon, by id, those that are over included."""

    async def daemon(self, **arguments: Any) -> RunningApi:
        """Return the daemon, started if there is none. arguments: of its Client."""
        if self.api is None:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory())
            self.api = await self._stack.enter_async_context(
                running_api(
                    self.instance, Path(folder), client=arguments, dial_rules=AnythingGoes()
                )
            )
            self._stack.push_async_callback(self._nobody_left)
            self._there = {}
            self.api.client.tap(self._happened)
        return self.api

    def _happened(self, _event: str, *arguments: object) -> None:
        for one in arguments:
            if isinstance(one, ActiveCall):
                self._there[one.call_id] = one

    def engine(self, call: ActiveCall) -> CallEngine:
        """Return a call at the daemon as the runtime has it."""
        return super().engine(self._there[call.call_id])

    def controller(self, client: Client) -> Controller:
        """Return the runtime of the daemon."""
        del client
        assert self.api is not None
        return super().controller(self.api.client)

    async def environment(self) -> dict[str, str]:
        """Return by what a program in a process of its own finds the daemon."""
        api = await self.daemon()
        return {"CALLBRIDGE_URL": api.url, "CALLBRIDGE_KEY": api.keys["program"]}

    async def program(self, **arguments: Any) -> Program:
        """Start a client by URL whose incoming calls are queued; arguments as in Client."""
        if "program" not in arguments:
            if self._before is not None:
                await self._before.disconnect()
            started = await super().program(**arguments)
            self._before = started.client
            return started
        return await super().program(**arguments)

    async def client(self, **arguments: Any) -> Client:
        """Make a client by URL, which is not connected yet; arguments as in Client.

        It has the name of the programs in processes of their own, and may follow them.
        """
        rate = arguments.pop("sample_rate", 16000)
        there = {name: arguments.pop(name) for name in _AT_THE_DAEMON & arguments.keys()}
        api = await self.daemon(sample_rate=rate, **there)
        return Client(
            url=api.url,
            key=api.keys["program"],
            **{"program": "program", "lease_seconds": 2.0, **arguments},
        )
