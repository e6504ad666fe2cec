"""What a command does not need it does not load: commands start at once."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

HEAVY = {
    "alembic",
    "bridge.ari.connection",
    "bridge.lab",
    "bridge.media",
    "bridge.runtime",
    "bridge.sdk.client",
    "bridge.sdk.remote.client",
    "bridge.store",
    "numpy",
    "pjsua2",
    "soundfile",
    "sqlalchemy",
}
SCRIPT = """
import atexit, sys
from bridge.cli.main import main
atexit.register(lambda: print(*sorted(sys.modules)))
main()
"""


async def no_calls(_request: web.Request) -> web.Response:
    return web.json_response({"items": []})


async def is_well(_request: web.Request) -> web.Response:
    health = {"live": True, "ready": True, "version": "0", "asterisk": "22", "calls": 0}
    return web.json_response({**health, "draining": False, "parts": {"ari": "ok"}})


async def test_calls_loads_nothing_that_is_heavy() -> None:
    app = web.Application()
    app.router.add_get("/api/v1/calls", no_calls)
    app.router.add_get("/api/v1/health", is_well)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SCRIPT, "calls", "--url", url, "--key", "k"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await command.communicate()
    finally:
        await runner.cleanup()
    assert command.returncode == 0, err
    loaded = set(out.decode().splitlines()[-1].split())
    assert "bridge.cli.calls" in loaded
    assert loaded & HEAVY == set()
