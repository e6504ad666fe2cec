"""Events that are followed over a break of the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.model.errors import ErrorCode
from bridge.model.states import CallState
from bridge.protocol import frames
from bridge.protocol.operations import BASE
from bridge.protocol.views import CallView, EventView, Page

CALL = CallView(call_id="c1", tenant="default", own=False, since=0.0, state=CallState.CONNECTED)
AT = frames.Position(epoch="e", seq=0)
OVER = frames.CutOff(code=ErrorCode.CALL_NOT_FOUND, message="there is no call c1")
ENDED = frames.Event(
    event=EventView(seq=1, epoch="e", at=0.0, type="LIVE_CALL_ENDED", call_id="c1", call=CALL)
)


@asynccontextmanager
async def daemon(*lives: list[frames.ServerFrame]) -> AsyncIterator[str]:
    """Run a server whose socket of events says this in each of its lives; yield its address."""
    left = iter(lives)

    async def calls(_request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(Page(items=(CALL,))))

    async def events(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        for frame in next(left):
            await socket.send_str(msgspec.json.encode(frame).decode())
        await socket.close()
        return socket

    server = web.Application()
    server.router.add_get(f"{BASE}/calls", calls)
    server.router.add_get(f"{BASE}{frames.EVENTS_SOCKET}", events)
    runner = web.AppRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("then", "printed", "noted"),
    [
        ([OVER], [], "there is no call c1"),
        ([frames.Resumed(after=AT), ENDED], ["LIVE_CALL_ENDED"], "the daemon is back"),
    ],
    ids=["it ended meanwhile", "it goes on"],
)
async def test_a_call_is_followed_to_its_end(
    then: list[frames.ServerFrame], printed: list[str], noted: str
) -> None:
    async with daemon([frames.Snapshot(at=AT, calls=(CALL,))], then) as url:
        words = ["events", "c1", "--follow", "--json", "--url", url, "--key", "k"]
        said = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert said.exit_code == 0, said.output
    assert [json.loads(line)["type"] for line in said.stdout.splitlines()] == printed
    assert "the daemon is lost" in said.stderr
    assert noted in said.stderr
