"""The directory of all live calls of the PBX, opened when somebody first wants to see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.ari import AriSettings
from bridge.directory import Change, Directory
from bridge.model.errors import InvalidStateError
from bridge.model.ids import CallId
from bridge.model.participants import CALLER
from bridge.runtime.engine import CallEngine
from bridge.runtime.watch import Watch


class Lookout:
    """Watches the PBX, and lets the directory know who takes part in calls of ours.

    on_change: told of every change of a live call; must not block. on_open: called once, when the
    PBX is watched.
    """

    def __init__(
        self,
        settings: AriSettings,
        *,
        on_change: Callable[[Change], None],
        on_open: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._on_open = on_open
        self._watch: Watch | None = None
        self._opening = asyncio.Lock()
        self._leaving = False

    @property
    def directory(self) -> Directory:
        """All live calls of the PBX. Raises InvalidStateError before ``open()``."""
        if self._watch is None:
            raise InvalidStateError("the PBX is not watched yet: watch() comes first")
        return self._watch.directory

    async def open(self, *, settled: bool = False) -> Directory:
        """Keep a directory of all live calls from now on; return it.

        settled: when it shows what Asterisk has done by now. Raises ServerError, and
        InvalidStateError from ``leave()`` on.
        """
        async with self._opening:
            self._require_stay()
            if self._watch is None:
                watch = Watch(
                    self._settings,
                    on_change=self._on_change,
                    # Whoever is told of what stands already may look at it.
                    on_known=lambda _: self._have(watch),
                )
                try:
                    await watch.open()
                    self._require_stay()
                except BaseException:
                    self._watch = None
                    await watch.close()
                    raise
                self._on_open()
                return watch.directory
            watch = self._watch
        if settled:
            await watch.settled()
        return watch.directory

    def _have(self, watch: Watch) -> None:
        self._watch = watch

    def leave(self) -> None:
        """Let nobody begin to watch any more."""
        self._leaving = True

    async def close(self) -> None:
        """Watch no more."""
        async with self._opening:
            if self._watch is not None:
                await self._watch.close()

    def show(self, engine: CallEngine) -> bool:
        """Let the directory know who takes part in a call of ours; tell whether it is watched."""
        if self._watch is None:
            return False
        parties = {party: engine.executor.channel_of(party) for party in engine.session.parties}
        legs = {party: leg for party, leg in parties.items() if leg is not None}
        call_id = engine.incoming.call_id
        self._watch.adopt(call_id, legs or {CALLER: engine.incoming.channel_id})
        return True

    def release(self, call_id: CallId) -> None:
        """Let the directory know that a call is not ours any more."""
        if self._watch is not None:
            self._watch.release(call_id)

    def lose_all(self) -> None:
        """Asterisk is gone, and with it all calls."""
        if self._watch is not None:
            self._watch.lose_all()

    def _require_stay(self) -> None:
        if self._leaving:
            raise InvalidStateError("the client is leaving: calls are not watched any more")
