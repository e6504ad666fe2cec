from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bridge.daemon.requests import Requests
from bridge.model.context import CALL_ID
from bridge.protocol.operations import BASE


class Site:
    """An application with one command that waits, one that fails, and one read."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, int]] = []
        self.calls: list[str] = []
        self.release = asyncio.Event()
        self.entered = asyncio.Event()
        self.requests = Requests(lambda name, status, _seconds: self.noted.append((name, status)))
        self.app = web.Application(middlewares=[self.requests.middleware])
        self.app.router.add_post(f"{BASE}/calls/{{call_id:[^/]+}}/answer", self._answer)
        self.app.router.add_delete(f"{BASE}/calls/{{call_id:[^/]+}}", self._fail)
        self.app.router.add_get(f"{BASE}/calls", self._list)
        self.url = ""

    async def _answer(self, _request: web.Request) -> web.Response:
        self.calls.append(CALL_ID.get())
        self.entered.set()
        await self.release.wait()
        return web.Response()

    async def _fail(self, _request: web.Request) -> web.Response:
        raise web.HTTPConflict

    async def _list(self, _request: web.Request) -> web.Response:
        assert self.requests.commands == 0
        assert CALL_ID.get() == ""
        return web.Response()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    one = Site()
    runner = web.AppRunner(one.app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}{BASE}"
    yield one
    await runner.cleanup()


async def test_commands_are_counted_while_they_are_under_way(site: Site) -> None:
    async with aiohttp.ClientSession() as session:
        asking = asyncio.create_task(session.post(f"{site.url}/calls/abc/answer"))
        await site.entered.wait()
        assert site.requests.commands == 1
        waiting = asyncio.create_task(site.requests.idle())
        await asyncio.sleep(0)
        assert not waiting.done()
        site.release.set()
        await waiting
        (await asking).release()
        assert site.calls == ["abc"]
        (await session.delete(f"{site.url}/calls/abc")).release()
        (await session.get(f"{site.url}/calls")).release()
        (await session.get(f"{site.url}/nothing")).release()
    assert site.noted == [("answer", 200), ("hang_up", 409), ("list_calls", 200)]
    assert site.requests.commands == 0
