"""Who is sent which events, and that they arrive: at least once, and of each call in order.

A delivery is in the store before it is sent, and until it has arrived, or is given up: a daemon
that was started again goes on with it. While the store is down nothing is sent; what happens
meanwhile is kept with everything else that waits for the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from bridge.model.errors import BadArgumentError, StoreError
from bridge.protocol.permissions import EVERY_TENANT
from bridge.protocol.views import EventView, WebhookView
from bridge.store.records import (
    EVERYTHING,
    Delivery,
    DeliveryState,
    DeliveryUpdate,
    Scope,
    StoredWebhook,
)
from bridge.store.store import Store
from bridge.webhooks.addresses import Addresses
from bridge.webhooks.retries import Retries
from bridge.webhooks.sender import ATTEMPT_SECONDS, Outcome, Sender

_log = logging.getLogger(__name__)

LOOKED_AGAIN_SECONDS: Final = 30.0
"""How soon webhooks that another daemon on the same store has made are known here."""
STORE_DOWN_SECONDS: Final = 2.0
CLOSING_SECONDS: Final = 2.0
"""How long attempts that are under way may go on when the daemon stops."""
_PAUSE_SECONDS: Final = 0.05
"""Between two looks at what is due: what comes meanwhile is fetched together."""
_IDLE_SECONDS: Final = 1.0
_BATCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Of all webhooks.

    at_once: attempts at the same time; at_once_each: of them for one webhook, so that one that is
    slow leaves room for the others; at_once_tenant: of them for one tenant's. pending: deliveries
    that may wait for one webhook; a further event is not sent to it, and counted. of_one_tenant:
    webhooks that a tenant may have. unknown: events that are kept until the webhooks are read from
    the store for the first time; the oldest give way.
    """

    retries: Retries = field(default_factory=Retries)
    attempt_seconds: float = ATTEMPT_SECONDS
    at_once: int = 64
    at_once_each: int = 8
    at_once_tenant: int = 32
    pending: int = 100_000
    of_one_tenant: int = 100
    unknown: int = 10_000


class Webhooks:
    """Takes events and sends them on. ``start()``, then ``take()`` every event; ``close()``.

    addresses: where events may be sent. clock: seconds since 1970. chance: from 0 to 1, at random.
    tls: for receivers whose certificates the system does not know.
    """

    def __init__(
        self,
        store: Store,
        *,
        addresses: Addresses | None = None,
        settings: WebhookSettings | None = None,
        version: str = "0",
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._store = store
        self._addresses = addresses or Addresses()
        self._settings = settings or WebhookSettings()
        self._version = version
        self._clock = clock
        self._chance = chance
        self._tls = tls
        self._known: dict[str, StoredWebhook] | None = None
        self._changes = 0
        self._unknown: deque[EventView] = deque(maxlen=self._settings.unknown)
        self._pending: Counter[str] = Counter()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._busy: Counter[str] = Counter()
        self._busy_of: Counter[str] = Counter()
        """By tenant."""
        self._ended: set[str] = set()
        self._replayed_at: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._sender: Sender | None = None
        self._running: asyncio.Task[None] | None = None
        self._fault = ""
        self.counts: Counter[str] = Counter()
        """Since the start: ``delivered``, ``failed`` attempts, ``dead``, ``dropped`` events."""

    async def start(self) -> None:
        """Begin to send, also what was left by the one before."""
        settings = self._settings
        self._sender = Sender(
            self._addresses,
            version=self._version,
            at_once=settings.at_once,
            seconds=settings.attempt_seconds,
            tls=self._tls,
        )
        self._running = asyncio.create_task(self._run(), name="webhooks")

    async def close(self) -> None:
        """End. What has not arrived is sent by the one who comes next. Idempotent."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=CLOSING_SECONDS)
        left = list(self._under_way.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

    @property
    def health(self) -> str:
        """``ok``, or what is wrong."""
        if self._fault:
            return f"nothing is sent: {self._fault}"
        if self._known is None:
            return "the webhooks are not read from the store yet"
        full = sum(self._pending[one] >= self._settings.pending for one in self._known)
        return f"{full} webhooks get no more events: too many wait for them" if full else "ok"

    @property
    def pending(self) -> int:
        """Number of deliveries that are on their way, as far as is known."""
        return self._pending.total()

    # --- events

    def take(self, event: EventView) -> None:
        """Take an event for all whom it concerns. Returns at once and never raises."""
        if self._known is None:
            if len(self._unknown) == self._settings.unknown:
                self.counts["dropped"] += 1
            self._unknown.append(event)
            return
        wanted = [webhook for webhook in self._known.values() if _wants(webhook, event)]
        if not wanted:
            return
        body = msgspec.json.encode(event).decode()
        deliveries = [
            self._delivery(webhook, event, body) for webhook in wanted if self._room(webhook)
        ]
        if deliveries:
            self._store.add_deliveries(deliveries)
            self._wake.set()

    def _room(self, webhook: StoredWebhook) -> bool:
        if self._pending[webhook.webhook_id] < self._settings.pending:
            return True
        if self.counts["dropped"] % 1000 == 0:
            _log.error("webhook %s: too much waits for it, events are dropped", webhook.webhook_id)
        self.counts["dropped"] += 1
        return False

    def _delivery(self, webhook: StoredWebhook, event: EventView, body: str) -> Delivery:
        now = self._clock()
        self._pending[webhook.webhook_id] += 1
        return Delivery(
            delivery_id=f"del_{secrets.token_hex(12)}",
            webhook_id=webhook.webhook_id,
            event_type=event.type,
            call_id=event.call_id,
            created_at=now,
            body=body,
            next_at=now,
        )

    # --- what is asked for over the API

    async def create(
        self, *, url: str, secret: str, events: Collection[str], tenant: str
    ) -> WebhookView:
        """Send events to an address from now on.

        events: types, none for all. tenant: whose events, or ``*``. Raises BadArgumentError for an
        address that nothing may be sent to, or when there are too many; StoreError.
        """
        self._addresses.checked(url)
        self._require_room(tenant)
        webhook = StoredWebhook(
            webhook_id=f"whk_{secrets.token_hex(8)}",
            url=url,
            secret=secret,
            events=tuple(dict.fromkeys(events)),
            tenant=tenant,
            created_at=self._clock(),
        )
        await self._store.add_webhook(webhook)
        self._changes += 1
        if self._known is not None:
            self._known[webhook.webhook_id] = webhook
        return WebhookView(
            webhook_id=webhook.webhook_id, url=url, events=webhook.events, tenant=tenant
        )

    def _require_room(self, tenant: str) -> None:
        have = sum(one.tenant == tenant for one in (self._known or {}).values())
        if have >= self._settings.of_one_tenant:
            raise BadArgumentError(
                f"there are {have} webhooks of the tenant {tenant}: delete one, or send from fewer"
            )

    async def remove(self, webhook_id: str, scope: Scope = EVERYTHING) -> bool:
        """Send nothing there any more; False if there is none in the scope. Raises StoreError."""
        if not await self._store.remove_webhook(webhook_id, scope):
            return False
        self._changes += 1
        if self._known is not None:
            self._known.pop(webhook_id, None)
        self._pending.pop(webhook_id, None)
        self._replayed_at.pop(webhook_id, None)
        return True

    async def replay(self, webhook_id: str, delivery_ids: Sequence[str] | None = None) -> int:
        """Send deliveries again, by default all dead ones; return how many. Raises StoreError."""
        sent = await self._store.replay(webhook_id, delivery_ids, now=self._clock())
        self._pending[webhook_id] += sent
        self._replayed_at[webhook_id] = self._clock()
        self._wake.set()
        return sent

    # --- sending

    async def _run(self) -> None:
        looked = float("-inf")
        while True:
            self._wake.clear()
            try:
                if self._known is None or time.monotonic() - looked > LOOKED_AGAIN_SECONDS:
                    await self._look()
                    looked = time.monotonic()
                wait = await self._start_due()
                self._fault = ""
            except StoreError as error:
                self._fault = error.error_message
                wait = STORE_DOWN_SECONDS
            except Exception as error:  # noqa: BLE001 - one fault must not end all webhooks for good
                _log.exception("what is due could not be sent")
                self._fault = f"{type(error).__name__}: {error}"
                wait = STORE_DOWN_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _look(self) -> None:
        """Read the webhooks from the store, and begin with what happened before they were known."""
        while True:
            changes = self._changes
            known = {one.webhook_id: one for one in await self._store.stored_webhooks()}
            fresh = known.keys() - (self._known or {}).keys()
            full = {one for one in known if self._pending[one] >= self._settings.pending}
            pending = await self._store.pending_deliveries() if fresh or full else {}
            # One that was made or removed meanwhile may be missing, or still be among them.
            if changes == self._changes:
                break
        self._known = known
        for webhook_id in fresh:
            self._pending[webhook_id] = pending.get(webhook_id, 0)
        # Of what was counted, some may have given way before it was stored. What has not is behind.
        behind = self._store.backlog
        for webhook_id in full:
            there = pending.get(webhook_id, 0) + behind
            self._pending[webhook_id] = min(self._pending[webhook_id], there)
        for gone in [one for one in self._pending if one not in known]:
            del self._pending[gone]
        while self._unknown:
            self.take(self._unknown.popleft())

    async def _start_due(self) -> float:
        """Begin all attempts that are due and that there is room for; return how long to wait."""
        known = (self._known or {}).values()
        full = frozenset(one.webhook_id for one in known if self._is_full(one))
        if len(self._under_way) < self._settings.at_once:
            limit = _BATCH + len(self._under_way)
            self._ended.clear()
            due = await self._store.due_deliveries(self._clock(), limit=limit, without=full)
            for delivery in due:
                self._start(delivery)
        soonest = await self._store.next_delivery_at()
        if soonest is None:
            return LOOKED_AGAIN_SECONDS
        # What is due and waits, for room or for the one before it, is begun when that has ended.
        wait = soonest - self._clock()
        return min(wait, LOOKED_AGAIN_SECONDS) if wait > 0 else _IDLE_SECONDS

    def _start(self, delivery: Delivery) -> None:
        known = self._known or {}
        webhook = known.get(delivery.webhook_id)
        if webhook is None or delivery.delivery_id in self._under_way:
            return
        # It ended while the store was being asked: what was answered is older.
        if delivery.delivery_id in self._ended:
            return
        if len(self._under_way) >= self._settings.at_once or self._is_full(webhook):
            return
        self._busy[webhook.webhook_id] += 1
        self._busy_of[webhook.tenant] += 1
        self._under_way[delivery.delivery_id] = asyncio.create_task(
            self._deliver(webhook, delivery), name=f"webhook {webhook.webhook_id}"
        )

    async def _deliver(self, webhook: StoredWebhook, delivery: Delivery) -> None:
        sender = self._sender
        try:
            if sender is not None:
                self._settle(delivery, await self._attempt(sender, webhook, delivery))
        finally:
            del self._under_way[delivery.delivery_id]
            self._ended.add(delivery.delivery_id)
            self._busy[webhook.webhook_id] -= 1
            if not self._busy[webhook.webhook_id]:
                del self._busy[webhook.webhook_id]
            self._busy_of[webhook.tenant] -= 1
            if not self._busy_of[webhook.tenant]:
                del self._busy_of[webhook.tenant]
            self._wake.set()

    async def _attempt(self, sender: Sender, webhook: StoredWebhook, delivery: Delivery) -> Outcome:
        try:
            return await sender.attempt(webhook, delivery, at=self._clock())
        except Exception as error:  # noqa: BLE001 - else it would be tried at once, again and again
            _log.exception("webhook %s: an attempt failed by a fault", webhook.webhook_id)
            return Outcome(error=f"{type(error).__name__}: {error}")

    def _is_full(self, webhook: StoredWebhook) -> bool:
        """Tell whether nothing more is begun for a webhook: neither it nor its tenant has room."""
        settings = self._settings
        if self._busy[webhook.webhook_id] >= settings.at_once_each:
            return True
        return self._busy_of[webhook.tenant] >= settings.at_once_tenant

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        attempts = delivery.attempts + 1
        now = self._clock()
        retries = self._settings.retries
        next_at: float | None = None
        if outcome.taken:
            state = DeliveryState.DELIVERED
            self.counts["delivered"] += 1
        elif outcome.final or retries.over(attempts, age=now - self._began(delivery)):
            state = DeliveryState.DEAD
            self.counts["dead"] += 1
            _log.error(
                "webhook %s: delivery %s is dead after %d attempts: %s",
                delivery.webhook_id,
                delivery.delivery_id,
                attempts,
                outcome.error,
            )
        else:
            state = DeliveryState.PENDING
            self.counts["failed"] += 1
            next_at = now + retries.wait(attempts, chance=self._chance(), asked=outcome.asked)
        if state is not DeliveryState.PENDING and self._pending[delivery.webhook_id] > 0:
            self._pending[delivery.webhook_id] -= 1
        self._store.set_delivery(
            DeliveryUpdate(
                delivery_id=delivery.delivery_id,
                state=state,
                attempts=attempts,
                next_at=next_at,
                last_status=outcome.status,
                last_error=outcome.error,
            )
        )

    def _began(self, delivery: Delivery) -> float:
        """Return since when a delivery is tried; one that is sent again has all its time again."""
        return max(delivery.created_at, self._replayed_at.get(delivery.webhook_id, 0.0))


def _wants(webhook: StoredWebhook, event: EventView) -> bool:
    if not webhook.active or webhook.tenant not in {EVERY_TENANT, event.tenant}:
        return False
    return not webhook.events or event.type in webhook.events
