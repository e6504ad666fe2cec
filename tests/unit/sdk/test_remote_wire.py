"""A socket by URL: what becomes of it when a frame cannot be dealt with."""

from __future__ import annotations

import msgspec
import pytest
from aiohttp import web

from bridge.lab.waiting import until
from bridge.protocol import frames
from bridge.protocol.operations import BASE
from bridge.sdk.address import DaemonAddress
from bridge.sdk.remote.http import Http
from bridge.sdk.remote.wire import Wire


async def test_a_frame_that_cannot_be_dealt_with_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def socket(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive()
        for call_id in ("c1", "c2", "c3"):
            await ws.send_str(msgspec.json.encode(frames.Withdrawn(call_id=call_id)).decode())
        await ws.receive()
        return ws

    def take(frame: frames.ServerMessage) -> None:
        assert isinstance(frame, frames.Withdrawn)
        if frame.call_id == "c2":
            raise ValueError("of a newer daemon")
        seen.append(frame.call_id)

    seen: list[str] = []
    app = web.Application()
    app.router.add_get(BASE + "/there", socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    http = Http(DaemonAddress(f"http://127.0.0.1:{port}", "none"))
    await http.open()
    wire = Wire(http, "/there", hello=frames.Subscribe, on_frame=take)
    try:
        await wire.open()
        await until(lambda: seen == ["c1", "c3"], "the others are taken")
        assert "a frame cannot be dealt with" in caplog.text
    finally:
        await wire.close()
        await http.close()
        await runner.cleanup()
