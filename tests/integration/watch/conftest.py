"""A watch on a real Asterisk, and everything that it told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from bridge.ari import AriSettings
from bridge.directory import Change, Directory, LiveCall
from bridge.lab.asterisk import Instance
from bridge.lab.waiting import until
from bridge.model.ids import CallId
from bridge.runtime.watch import Watch
from tests.support.pbx import Pbx


@dataclass
class Watched:
    """A watch and its story."""

    watch: Watch
    changes: list[Change] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)

    @property
    def directory(self) -> Directory:
        """The directory as it is now."""
        return self.watch.directory

    def who(self) -> list[dict[str, str]]:
        """Per call, whose phone has which role: the number of the endpoint."""
        return [
            {str(p.role): p.endpoint.removeprefix("PJSIP/") for p in call.parties}
            for call in self.directory.calls
        ]

    async def until_who(self, *calls: dict[str, str], within_s: float = 5.0) -> LiveCall | None:
        """Wait for exactly these calls, the eldest first; return that one."""
        try:
            await until(lambda: self.who() == list(calls), "calls", within_s=within_s)
        except TimeoutError:
            raise AssertionError(f"{self.who()}, not {list(calls)}") from None
        return self.directory.calls[0] if calls else None

    async def until_call(
        self, *, caller: str = "", callee: str = "", party3: str = "", within_s: float = 5.0
    ) -> LiveCall:
        """Wait until there is one call, with these parties; return it."""
        parties = {"caller": caller, "callee": callee, "party3": party3}
        there = {role: number for role, number in parties.items() if number}
        call = await self.until_who(there, within_s=within_s)
        assert call is not None
        return call

    def told_of(self, call_id: CallId) -> list[str]:
        """The kinds of changes that were told of a call, in order."""
        return [type(c).__name__ for c in self.changes if c.call.call_id == call_id]


async def open_watch(instance: Instance, stack: AsyncExitStack, port: int = 0) -> Watched:
    """Begin to watch an instance, through a local port if one is given."""
    ari = instance.info.ari
    url = f"http://127.0.0.1:{port}/ari" if port else ari.url
    changes: list[Change] = []
    known: list[bool] = []
    watch = Watch(
        AriSettings(url, ari.username, ari.password, "watched", request_timeout_s=3.0),
        on_change=changes.append,
        on_known=known.append,
    )
    watched = Watched(watch, changes, known)
    await watch.open()
    stack.push_async_callback(watch.close)
    return watched


@pytest.fixture
async def watched(pbx: Pbx) -> AsyncIterator[Watched]:
    """A watch on the shared Asterisk."""
    async with AsyncExitStack() as stack:
        yield await open_watch(pbx.instance, stack)


@pytest.fixture
async def own_watched(own_pbx: Pbx) -> AsyncIterator[Watched]:
    """A watch on an Asterisk of the test's own: a parking lot, once used, keeps its bridge."""
    async with AsyncExitStack() as stack:
        yield await open_watch(own_pbx.instance, stack)
