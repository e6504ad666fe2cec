"""The API in this process, without a daemon around it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from aiohttp import web

from bridge.api.app import make_app
from bridge.api.audio import AudioPositions
from bridge.api.auth.keys import new_key
from bridge.api.auth.limits import Rate, RateLimits
from bridge.api.auth.tenancy import Tenancy
from bridge.api.hub import EventHub
from bridge.api.programs import Programs
from bridge.api.service import Service
from bridge.api.views import Views
from bridge.daemon.config import Configuration
from bridge.daemon.parts import make_parts
from bridge.daemon.paths import Paths
from bridge.protocol.permissions import EVERY_TENANT, Role
from bridge.sdk import Client
from bridge.store.store import Store

_OFTEN: Final = Rate(10_000, 10_000)
"""All come with one key."""


@asynccontextmanager
async def open_service(change: Callable[[Service], Service]) -> AsyncIterator[tuple[str, str]]:
    """Run the API of a client that is never connected, but for what is changed; give url and key.

    The key is an admin's.
    """
    with tempfile.TemporaryDirectory(prefix="callbridge-bench-") as name:
        folder = Path(name)
        configuration = Configuration.model_validate(
            {
                "asterisk": {"url": "http://127.0.0.1:9/ari", "username": "a", "password": "a"},
                "server": {"state_folder": str(folder)},
            }
        )
        store = await Store.open(f"sqlite:///{folder}/store.db", spool=folder / "spool")
        kept, key = new_key("bench", Role.ADMIN, EVERY_TENANT, now=time.time())
        parts = make_parts(configuration, Paths.of(configuration), store, (kept,))
        often = RateLimits(commands=_OFTEN, reads=_OFTEN)
        service = change(replace(parts.service, rate_limits=often))
        runner = web.AppRunner(make_app(service), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", key
        finally:
            service.hub.close()
            await runner.cleanup()
            await service.authenticator.close()
            await service.programs.close()
            await service.views.close()
            await parts.views.close()
            await store.close()


@asynccontextmanager
async def open_service_of(client: Client) -> AsyncIterator[tuple[str, str]]:
    """Run the API of a client that is connected; give url and key."""
    with tempfile.TemporaryDirectory(prefix="callbridge-bench-") as folder:
        views = Views(client, Tenancy(), recordings=Path(folder))
        hub = EventHub(views)
        programs = Programs(client, views, hub)
        positions = AudioPositions(client, views)

        def of_client(service: Service) -> Service:
            return replace(
                service,
                client=client,
                views=views,
                hub=hub,
                programs=programs,
                audio_positions=positions,
            )

        async with open_service(of_client) as address:
            yield address
