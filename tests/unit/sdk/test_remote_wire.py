"""A socket by URL: what becomes of it when something cannot be dealt with."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from bridge.lab.waiting import until
from bridge.model.errors import ServerUnreachableError
from bridge.protocol import frames
from bridge.protocol.operations import BASE
from bridge.sdk.address import DaemonAddress
from bridge.sdk.remote.http import Http
from bridge.sdk.remote.wire import Wire

CALLS = ["c1", "c2", "c3"]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    """The way to a daemon that says three things to whoever says one, and leaves at the second."""

    async def socket(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive()
        for call_id in CALLS:
            await ws.send_str(msgspec.json.encode(frames.Withdrawn(call_id=call_id)).decode())
        await ws.receive()
        return ws

    app = web.Application()
    app.router.add_get(BASE + "/there", socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    http = Http(DaemonAddress(f"http://127.0.0.1:{runner.addresses[0][1]}", "none"))
    await http.open()
    yield http
    await http.close()
    await runner.cleanup()


async def opened_twice(wire: Wire, seen: list[frames.ServerMessage]) -> None:
    """Open it, and have the daemon leave, until it is open again. seen: what came."""
    try:
        await wire.open()
        await until(lambda: len(seen) == len(CALLS), "it is open")
        await wire.send(frames.Subscribe())
        await until(lambda: len(seen) == 2 * len(CALLS), "it is open again")
    finally:
        await wire.close()


async def test_a_frame_that_cannot_be_dealt_with_costs_no_other(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    def take(frame: frames.ServerMessage) -> None:
        assert isinstance(frame, frames.Withdrawn)
        if frame.call_id == "c2":
            raise ValueError("of a newer daemon")
        seen.append(frame.call_id)

    seen: list[str] = []
    wire = Wire(http, "/there", hello=frames.Subscribe, on_frame=take)
    try:
        await wire.open()
        await until(lambda: seen == ["c1", "c3"], "the others are taken")
        assert "a frame cannot be dealt with" in caplog.text
    finally:
        await wire.close()


async def test_a_fault_costs_no_socket(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    def hello() -> frames.ClientFrame:
        said.append("hello")
        if len(said) == 2:
            raise ValueError("a fault of ours")
        return frames.Subscribe()

    said: list[str] = []
    seen: list[frames.ServerMessage] = []
    down: list[str] = []
    wire = Wire(http, "/there", hello=hello, on_frame=seen.append, on_down=down.append)
    await opened_twice(wire, seen)
    assert len(said) == 3
    assert "a fault of ours" in down[1]
    assert "a fault of callbridge" in caplog.text


async def test_of_an_outage_a_reason_is_told_once(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    def hello() -> frames.ClientFrame:
        said.append("hello")
        if 1 < len(said) < 5:
            raise ServerUnreachableError("nobody is there")
        return frames.Subscribe()

    said: list[str] = []
    seen: list[frames.ServerMessage] = []
    down: list[str] = []
    wire = Wire(http, "/there", hello=hello, on_frame=seen.append, on_down=down.append)
    caplog.set_level(logging.INFO)
    await opened_twice(wire, seen)
    assert down[1:] == ["nobody is there"] * 3
    assert caplog.text.count("nobody is there") == 1
