"""Webhooks on a store of their own, and somebody who receives."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bridge.lab.waiting import until
from bridge.protocol.requests import DeliveryListing
from bridge.protocol.views import DeliveryView, EventView, WebhookView
from bridge.store.store import Store
from bridge.webhooks import Addresses, Retries, Webhooks, WebhookSettings
from tests.api.webhooks.receiver import SECRET, Receiver, receiving
from tests.support.daemon import open_store

SETTINGS = WebhookSettings(
    retries=Retries(first_seconds=0.02, longest_seconds=3600.0, attempts=4), attempt_seconds=10.0
)


@dataclass
class Post:
    """Webhooks, where they are kept, and who receives."""

    folder: Path
    receiver: Receiver
    stack: AsyncExitStack
    store: Store
    webhooks: Webhooks
    settings: WebhookSettings = SETTINGS
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def begin(self, **changes: Any) -> None:
        """Begin to send; changes: of the settings."""
        self.settings = replace(self.settings, **changes)
        self.webhooks = Webhooks(
            self.store, addresses=Addresses(["127.0.0.1"]), settings=self.settings
        )
        await self.webhooks.start()
        await until(lambda: self.webhooks.health == "ok", "the webhooks are known")
        self.stack.push_async_callback(self.webhooks.close)

    async def restart(self) -> None:
        """End, and be the next daemon on the same store."""
        await self.webhooks.close()
        await self.store.close()
        self.store = await open_store(self.folder)
        self.stack.push_async_callback(self.store.close)
        await self.begin()

    async def hook(self, path: str, *events: str, tenant: str = "*") -> WebhookView:
        """Send events to a path of the receiver."""
        return await self.webhooks.create(
            url=self.receiver.url + path, secret=SECRET, events=events, tenant=tenant
        )

    def tell(
        self, call_id: str | None = None, kind: str = "CALL_CONNECTED", tenant: str = "default"
    ) -> EventView:
        """Let something happen."""
        event = EventView(
            seq=next(self.numbers),
            epoch="e",
            at=time.time(),
            type=kind,
            call_id=call_id,
            tenant=tenant,
        )
        self.webhooks.take(event)
        return event

    async def deliveries(self, webhook: WebhookView) -> tuple[DeliveryView, ...]:
        """Return the deliveries of a webhook, the newest first."""
        return (await self.store.deliveries(webhook.webhook_id, DeliveryListing())).items


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        store = await open_store(tmp_path)
        stack.push_async_callback(store.close)
        post = Post(tmp_path, receiver, stack, store, Webhooks(store))
        await post.begin()
        yield post
