"""Whether the process lives, and whether it is ready: by status alone, for who looks after it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from bridge.api.handlers.health import health_of
from bridge.api.service import Service

LIVE: Final = "/live"
READY: Final = "/ready"


def add(app: web.Application, service: Service) -> None:
    """Answer ``/live`` (200 as long as the loop runs) and ``/ready`` (200 or 503, and why)."""

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def ready(_request: web.Request) -> web.Response:
        health = health_of(service)
        if health.ready:
            return web.Response(text="ready\n")
        wrong = [f"{part}: {state}" for part, state in health.parts.items() if state != "ok"]
        if health.draining:
            wrong.insert(0, "the daemon is about to stop")
        return web.Response(
            status=web.HTTPServiceUnavailable.status_code, text="\n".join(wrong) + "\n"
        )

    app.router.add_get(LIVE, live)
    app.router.add_get(READY, ready)
