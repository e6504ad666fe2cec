"""A watcher who does not read: nothing piles up for him, he is cut off, and finds out why."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bridge.api.app import make_app
from bridge.api.auth.tls import server_tls
from bridge.api.broadcast import BUFFER_BYTES, Limits
from bridge.api.hub import EventHub
from bridge.api.sockets import common
from bridge.lab.waiting import until
from bridge.model.errors import ErrorCode
from bridge.protocol.frames import EVENTS_SOCKET, Event
from bridge.protocol.operations import BASE
from tests.api.auth.test_tls import Pair
from tests.support.daemon import RunningApi
from tests.support.sockets import Ended, FarEnd, Shown

TEXT = "x" * 2000
"""Of an event: so that a buffer is soon full."""


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Pair | None:
    return Pair(tmp_path, "server") if request.param == "tls" else None


@asynccontextmanager
async def served(told: RunningApi, tls: Pair | None) -> AsyncIterator[str]:
    """Serve the same API once more; yields the address of the socket of events."""
    context = None if tls is None else server_tls(tls.cert, tls.key)
    runner = web.AppRunner(make_app(told.service), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        scheme, port = "http" if tls is None else "https", runner.addresses[0][1]
        yield f"{scheme}://127.0.0.1:{port}{BASE}{EVENTS_SOCKET}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def subscribed(
    told: RunningApi, url: str, context: ssl.SSLContext | None
) -> AsyncIterator[FarEnd]:
    headers = {"Authorization": f"Bearer {told.keys['admin']}"}
    async with told.session.ws_connect(
        url, headers=headers, ssl=context or True, max_msg_size=0
    ) as ws:
        far = FarEnd(ws)
        await far.subscribe()
        yield far


async def test_he_is_cut_off_and_told_so_and_nobody_else_notices(
    told: RunningApi, shown: Shown, tls: Pair | None
) -> None:
    limits = Limits(behind_events=100, patience_seconds=0.1, stalled_seconds=60.0)
    hub = told.service.hub = EventHub(shown, limits=limits)
    context = None if tls is None else tls.trusting()
    async with (
        served(told, tls) as url,
        subscribed(told, url, context) as other,
        subscribed(told, url, context) as slow,
    ):
        slow.stop_reading()
        number, most = 0, 0
        (_, stuck) = list(hub.broadcast._watchers)
        while not hub.broadcast.cut_off:
            number += 1
            hub.publish("TICK", call_id="c-1", data={"number": number, "text": TEXT})
            assert (await other.event()).data["number"] == number
            most = max(most, stuck._outlet.get_write_buffer_size())
            assert number < 3000, "he is told for ever"
        assert hub.broadcast.watchers == 1
        assert most <= 2 * BUFFER_BYTES + 10_000
        slow.resume_reading()
        seen = 0
        while isinstance(got := await slow.next(), Event):
            seen += 1
        assert isinstance(got, Ended)
        assert (got.code, got.cut_off and got.cut_off.code) == (4008, ErrorCode.SLOW_READER)
        assert 0 < seen < number
        await until(lambda: len(hub.enders) == 1, "his socket is forgotten")


async def test_who_never_reads_again_is_forgotten_all_the_same(
    told: RunningApi, shown: Shown, tls: Pair | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "LINGER_SECONDS", 0.3)
    hub = told.service.hub = EventHub(shown, limits=Limits(stalled_seconds=0.3))
    context = None if tls is None else tls.trusting()
    before = len(asyncio.all_tasks())
    async with served(told, tls) as url:
        async with subscribed(told, url, context) as slow:
            slow.stop_reading()
            for number in range(400):
                hub.publish("TICK", call_id="c-1", data={"number": number, "text": TEXT})
            await until(lambda: not hub.enders, "his socket is forgotten")
            assert not hub.broadcast.watchers
            slow.vanish()
        await until(lambda: len(asyncio.all_tasks()) <= before + 1, "no task is left")
