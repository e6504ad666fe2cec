"""The Asterisk that tests share, and what is done about a test that leaves something in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.ari import AriConnection
from bridge.lab.asterisk import Instance
from bridge.lab.waiting import PATIENCE_S
from bridge.model.errors import CallbridgeError
from tests.support import remains
from tests.support.pbx import open_observer, still_there

_STOP_SECONDS = 2.0
"""A stuck Asterisk does not end when asked."""


class AsteriskDiedError(AssertionError):
    """Asterisk died under a test. No second look is taken at that."""


class SharedAsterisk:
    """One Asterisk for many tests. Whatever happens to it fails one test: the next has a new one.

    kind: what it is for, a part of its name. patience_s: for how long something may be left in it.
    music: as in Instance.start. All but ``lent`` block.
    """

    def __init__(
        self, kind: str, *, patience_s: float = PATIENCE_S, music: Path | None = None
    ) -> None:
        self._patience_s = patience_s
        self._name = f"{kind}-{os.getpid()}"
        self._music = music
        self._instance: Instance | None = None
        self._failure: Exception | None = None

    def instance(self) -> Instance:
        """Return the running Asterisk, started if there is none.

        Raises InstanceError, PackageError; when it did not start once, it is not tried again.
        """
        if self._failure is not None:
            raise self._failure
        if self._instance is None:
            try:
                self._instance = Instance.start(self._name, tied=True, music=self._music)
            except CallbridgeError as error:
                self._failure = error
                raise
        return self._instance

    def discard(self) -> None:
        """End it: the next test gets a new one."""
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.stop(_STOP_SECONDS)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[tuple[Instance, AriConnection]]:
        """Lend it, with a connection to it, to a test that leaves nothing in it.

        Raises AssertionError that tells what is left, AsteriskDiedError, and CallbridgeError when
        it does not answer; it is discarded then.
        """
        instance = await asyncio.to_thread(self.instance)
        try:
            async with _observed(instance, self._patience_s) as observer:
                yield instance, observer
        except BaseException as error:
            died = await asyncio.to_thread(Instance.crash_report, instance.name)
            await asyncio.to_thread(self.discard)
            if died and isinstance(error, Exception):
                raise AsteriskDiedError(died) from error
            raise


@asynccontextmanager
async def _observed(instance: Instance, patience_s: float) -> AsyncIterator[AriConnection]:
    """Connect to an Asterisk, and see afterwards that nothing is left in it, come what may."""
    observer = await open_observer(instance)
    try:
        try:
            yield observer
        finally:
            if left := await still_there(observer, within_s=patience_s):
                told = await remains.report(instance, observer)
                raise AssertionError(f"left in Asterisk: {left}\n\n{told}")
    finally:
        await observer.close()
