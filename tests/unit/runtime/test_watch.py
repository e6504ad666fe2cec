"""Whoever waits for what stands in Asterisk is told of it by whatever tells it first."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.ari import AriSettings, models
from bridge.runtime import watch as watch_module
from bridge.runtime.watch import Watch
from tests.unit.runtime.test_watch_facts import BRIDGE, CHANNEL


class Server:
    """Asterisk, asked what stands."""

    def __init__(self) -> None:
        self.channels = self.applications = self
        self.settings = SimpleNamespace(application="a-watch")
        self.stands: tuple[list[models.Bridge], list[models.Channel]] = ([], [])
        self.asked = asyncio.Event()
        self.bridges = SimpleNamespace(list=self._bridges)

    async def _bridges(self) -> list[models.Bridge]:
        self.asked.set()
        return self.stands[0]

    async def list(self) -> list[models.Channel]:
        return self.stands[1]

    async def get_channel_var(self, **_asked: str) -> Any:
        return SimpleNamespace(value="0")

    async def filter(self, **_asked: object) -> None:
        pass

    async def subscribe(self, **_asked: object) -> None:
        pass


async def test_a_look_at_everything_shows_what_was_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "_SETTLED_S", 60.0)
    watch = Watch(AriSettings("http://127.0.0.1:1", "u", "p"), on_change=lambda _change: None)
    server = Server()
    monkeypatch.setattr(watch, "_ari", server)
    await watch._look()
    server.stands = ([BRIDGE], [CHANNEL])
    server.asked.clear()
    waiting = asyncio.create_task(watch.settled())
    await server.asked.wait()
    await asyncio.sleep(0)
    assert not waiting.done()
    await watch._look()
    await asyncio.wait_for(waiting, 5)
    assert watch.directory.bridge_of(CHANNEL.id) == BRIDGE.id
