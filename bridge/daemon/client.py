"""The client that the daemon is made of: it may be there before Asterisk is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bridge.ari import Backoff, LinkStatus
from bridge.daemon.asterisk import ari_settings
from bridge.daemon.config import Configuration
from bridge.model.errors import ServerError, ServerUnreachableError
from bridge.runtime import Controller
from bridge.runtime.transfer_policy import Policy
from bridge.sdk import Client

_log = logging.getLogger(__name__)

_BACKOFF = Backoff(longest_s=5.0)
OK = "ok"
TAKE_UP_SECONDS: Final = 5.0
"""How long who asks for calls waits until those of an earlier daemon are taken up."""
AGAIN_SECONDS: Final = 2.0
"""When it is worth asking again."""


class DaemonClient(Client):
    """A client that says that Asterisk is not reached, where another says: not connected."""

    def __init__(self, configuration: Configuration, transfer_policy: Policy) -> None:
        asterisk = configuration.asterisk
        settings = ari_settings(configuration)
        super().__init__(
            settings.url,
            settings.username,
            settings.password,
            application=asterisk.application,
            sample_rate=configuration.audio.sample_rate,
            endpoint=asterisk.endpoint,
            tls=settings.tls,
            send_buffer_seconds=configuration.audio.send_buffer_seconds,
            supervisors=configuration.supervisors.endpoints,
            keys=configuration.supervisors.keys or None,
            music=asterisk.music,
            parking_slots=asterisk.parking_slots,
            transfer_policy=transfer_policy,
        )
        self._root = settings.root
        self._fault = "it is being connected to"
        self._connecting = asyncio.Lock()
        self._leaving = False
        self._looked = False
        """It was known, once, what stands in Asterisk."""
        self._tried = asyncio.Event()
        """No attempt to find that out is under way."""

    @property
    def link(self) -> str:
        """``ok``, or why Asterisk cannot be reached."""
        if self._controller is None:
            return self._fault
        state = self._controller.ari.state
        return OK if state.status is LinkStatus.UP else state.reason

    @property
    def replaced(self) -> str | None:
        """Why no event will come any more: another program has the application; else None."""
        if self._controller is None:
            return None
        state = self._controller.ari.state
        return state.reason if state.status is LinkStatus.REPLACED else None

    async def keep_connected(self, on_connected: Callable[[], None]) -> str:
        """Connect, however often it fails, and return why there is no more to come.

        on_connected: called once. Raises nothing that time may heal.
        """
        failures = 0
        while not await self._try_to_connect(failures):
            failures += 1
            self._tried.set()
            await asyncio.sleep(_BACKOFF.delay_s(failures))
            self._tried.clear()
        if self._leaving:
            self._tried.set()
            return "the daemon is about to stop"
        _log.info("connected to Asterisk %s at %s", self.capabilities.version, self._root)
        on_connected()
        self._looked = True
        self._tried.set()
        await self._connected().ended.wait()
        return self.replaced or "the connection to Asterisk was closed"

    async def taken_up(self) -> None:
        """Return when all calls are known that stood in Asterisk as this daemon began.

        Raises ServerUnreachableError when they are not after 5 s, or Asterisk is not reached.
        """
        if not self._looked:
            with suppress(TimeoutError):
                async with asyncio.timeout(TAKE_UP_SECONDS):
                    await self._tried.wait()
        if not self._looked:
            raise ServerUnreachableError(
                f"it is not known yet what calls there are at {self._root}: {self._fault}",
                retry_after=AGAIN_SECONDS,
            )

    async def settled(self) -> None:
        """Connect no more; return when nothing of it is under way.

        Calls that were taken up half would be lost if it were broken off.
        """
        self._leaving = True
        async with self._connecting:
            pass

    async def _try_to_connect(self, failures: int) -> bool:
        """Connect once; tell whether there is nothing to be tried any more."""
        async with self._connecting:
            if self._leaving:
                return True
            try:
                await self.connect()
                await self.live_calls()
            except ServerError as error:
                if failures == 0 or self._fault != str(error):
                    _log.warning("Asterisk is not reached yet: %s", error)
                self._fault = str(error)
                # What was taken up is to be taken up again: nobody is hung up for it.
                await self.hand_over()
                return False
            return True

    def _connected(self) -> Controller:
        if self._controller is None:
            raise ServerUnreachableError(f"Asterisk at {self._root} is not reached: {self._fault}")
        return self._controller
