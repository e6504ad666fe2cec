"""The API of a daemon in the process of the test, on a real Asterisk or on the fake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp import web

from bridge.api.app import make_app
from bridge.api.attendance import ABSENT_SECONDS
from bridge.api.audio import AudioPositions
from bridge.api.auth.authenticator import Authenticator
from bridge.api.auth.dialling import DialRules
from bridge.api.auth.keys import new_key
from bridge.api.auth.limits import Rate, RateLimits
from bridge.api.auth.tenancy import Tenancy
from bridge.api.hub import EventHub
from bridge.api.programs import Programs
from bridge.api.service import Service
from bridge.api.views import Views
from bridge.protocol.operations import BASE
from bridge.protocol.permissions import EVERY_TENANT, Role
from bridge.sdk import Client
from bridge.store.feed import Feed
from bridge.store.records import StoredKey
from bridge.store.store import Store
from bridge.webhooks import Addresses, Retries, Webhooks, WebhookSettings

TENANT = "default"
FOREIGN_TENANT = "acme"
SHUTDOWN_SECONDS = 0.5
WEBHOOKS = WebhookSettings(
    retries=Retries(first_seconds=0.1, longest_seconds=0.4, attempts=4), attempt_seconds=0.5
)
OFTEN = Rate(per_second=10_000.0, burst=10_000)


def made_keys() -> tuple[list[StoredKey], dict[str, str]]:
    """Make a key of every role, ``admin`` and so on, ``foreign-admin`` and so on.

    Returns what is kept of them, and them by name. The admin's is good for every tenant.
    """
    kept, shown = [], {}
    for role in Role:
        tenant = EVERY_TENANT if role is Role.ADMIN else TENANT
        for called, name, of in (
            (role.value, f"the-{role}", tenant),
            (f"foreign-{role}", f"foreign-{role}", FOREIGN_TENANT),
        ):
            key, shown[called] = new_key(name, role, of, now=0.0)
            kept.append(key)
    return kept, shown


@dataclass
class Reply:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The body, decoded; None where there is none."""
        return msgspec.json.decode(self.raw) if self.raw else None

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.raw
        return str(self.json["code"])


@dataclass
class RunningApi:
    """A running API. url: such as ``http://127.0.0.1:1234``. keys: by role, and ``foreign-ROLE``.

    ``session`` sends no key by itself.
    """

    url: str
    keys: dict[str, str]
    service: Service
    client: Client
    session: aiohttp.ClientSession = field(repr=False)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = "admin",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Reply:
        """Ask for a path below ``/api/v1`` (or from ``/api`` on); body: sent as JSON.

        key: of ``keys``, by name; or a key itself; None: none is shown.
        """
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        if body is not None:
            data = msgspec.json.encode(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = self.url + (path if path.startswith("/api/") else BASE + path)
        async with self.session.request(
            method, url, headers=sent, params=query, data=data, allow_redirects=False
        ) as reply:
            return Reply(reply.status, reply.headers, await reply.read())

    async def done(self, method: str, path: str, body: object = None, **how: Any) -> Any:
        """Ask, and return what is answered. Raises AssertionError for a problem."""
        reply = await self.ask(method, path, body, **how)
        assert reply.status < 300, (method, path, reply.status, reply.raw)
        return reply.json


@dataclass
class Ari:
    """Where Asterisk is: as much of FakeAri and of an instance's ``info.ari`` as is needed."""

    url: str
    username: str
    password: str

    @classmethod
    def of(cls, server: Any) -> Self:
        """Return that of a FakeAri, of an Instance, or of its ``info.ari``."""
        found = server.info.ari if hasattr(server, "info") else server
        return cls(found.url, found.username, found.password)


@asynccontextmanager
async def running_api(
    server: object,
    folder: Path,
    *,
    client: Mapping[str, Any] | None = None,
    absent_seconds: float = ABSENT_SECONDS,
    **parts: Any,
) -> AsyncIterator[RunningApi]:
    """Run the API on an Asterisk.

    server: a FakeAri or an Instance. folder: for recordings and the store. client: arguments of
    Client. absent_seconds: as in Views. parts: of the service, in the place of those that are made
    here.
    """
    ari = Ari.of(server)
    settings: dict[str, Any] = {"sample_rate": 16000, "probe": False, **(client or {})}
    async with AsyncExitStack() as stack:
        of_client = Client(ari.url, ari.username, ari.password, **settings)
        kept, shown = made_keys()
        store = parts.get("store") or await open_store(folder)
        stack.push_async_callback(store.close)
        parts = {"store": store, "tenancy": Tenancy(), **parts}
        if "views" not in parts:
            tenancy, recordings = parts["tenancy"], folder / "recordings"
            views = Views(of_client, tenancy, recordings=recordings, absent_seconds=absent_seconds)
            parts["views"] = views
            stack.push_async_callback(views.close)
        service = _service(of_client, kept, parts)
        service.hub.listeners += [Feed(store).take, service.webhooks.take]
        await service.webhooks.start()
        stack.push_async_callback(service.webhooks.close)
        stack.push_async_callback(service.authenticator.close)
        stack.push_async_callback(service.programs.close)
        await stack.enter_async_context(of_client)
        runner = web.AppRunner(
            make_app(service), shutdown_timeout=SHUTDOWN_SECONDS, auto_decompress=False
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        stack.callback(service.hub.close)
        yield RunningApi(
            f"http://127.0.0.1:{runner.addresses[0][1]}",
            shown,
            service,
            of_client,
            session,
        )


async def open_store(folder: Path) -> Store:
    """Open a store of one's own in a folder; what was there before is there again."""
    return await Store.open(f"sqlite:///{folder}/store.db", spool=folder / "spool")


def _service(client: Client, keys: list[StoredKey], parts: Mapping[str, Any]) -> Service:
    """Put the parts together as the daemon does; what is not given is real where there is it."""
    store, views = parts["store"], parts["views"]
    hub = EventHub(views)
    hub.watch(client)
    made: dict[str, Any] = {
        "client": client,
        "hub": hub,
        "authenticator": Authenticator(store, fixed=keys),
        "rate_limits": RateLimits(commands=OFTEN, reads=OFTEN),
        "dial_rules": DialRules(),
        "programs": Programs(client, views, hub),
        "webhooks": Webhooks(store, addresses=Addresses(["127.0.0.1"]), settings=WEBHOOKS),
        "audio_positions": AudioPositions(client, views),
        "speech": None,
        "version": "0.0.test",
        **parts,
    }
    return Service(**made)
