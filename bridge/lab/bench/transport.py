"""One request after another: how long Asterisk's answer takes on each way to it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from bridge.ari import AriConnection, AriSettings
from bridge.ari.http import HttpTransport
from bridge.lab.asterisk import InstanceInfo
from bridge.lab.bench.figures import Chapter, Figure

REQUESTS = 1000
_BRIDGE = "callbridge-bench-bridge"


async def measure(info: InstanceInfo) -> Chapter:
    """Get one bridge many times."""
    ari = info.ari
    settings = AriSettings(ari.url, ari.username, ari.password, "callbridge-bench-rest")
    connection = AriConnection(settings, on_event=lambda _event: None)
    http = HttpTransport(settings)
    await connection.open()
    try:
        await connection.bridges.create_with_id(bridge_id=_BRIDGE, type="mixing")
        figures = [
            *await _times(
                "REST over the events WebSocket", lambda: connection.bridges.get(bridge_id=_BRIDGE)
            ),
            *await _times(
                "plain REST", lambda: http.exchange("GET", f"bridges/{_BRIDGE}", [], None, 5.0)
            ),
            *await _aioari(settings),
        ]
        await connection.bridges.destroy(bridge_id=_BRIDGE)
    finally:
        await http.close()
        await connection.close()
    return Chapter(
        "A request to Asterisk",
        "GET of a bridge, one at a time; beside the answer, CPU of this program.",
        tuple(figures),
    )


async def _times(name: str, request: Callable[[], Awaitable[object]]) -> list[Figure]:
    for _ in range(REQUESTS // 10):
        await request()
    taken = []
    cpu = time.process_time()
    for _ in range(REQUESTS):
        began = time.perf_counter()
        await request()
        taken.append((time.perf_counter() - began) * 1000)
    used = (time.process_time() - cpu) * 1000 / REQUESTS
    return [Figure.of(name, "ms", taken), Figure.of(f"{name}, CPU", "ms", [used])]


async def _aioari(settings: AriSettings) -> list[Figure]:
    """Measure aioari as it comes, if it is installed."""
    try:
        import aioari  # noqa: PLC0415 - an optional dependency
    except ImportError:
        return []
    client = await aioari.connect(f"{settings.root}/", settings.username, settings.password)
    try:
        return await _times("aioari", lambda: client.bridges.get(bridgeId=_BRIDGE))
    finally:
        await client.close()
