"""Who is told the figures."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from bridge.daemon import metrics, serve
from bridge.daemon.metrics import Metrics


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize(
    ("headers", "here"),
    [
        ({}, True),
        ({"x-forwarded-for": "203.0.113.1"}, False),
        ({"Forwarded": "for=203.0.113.1"}, False),
    ],
)
async def test_figures_are_told_here_or_to_everybody(
    headers: dict[str, str], *, here: bool, public: bool
) -> None:
    app = web.Application()
    app.router.add_get(metrics.PATH, Metrics().handler(public=public))
    async with (
        serve.listening(app, "127.0.0.1", 0, "server") as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{metrics.PATH}", headers=headers) as answer,
    ):
        assert answer.status == (200 if public or here else 403)
