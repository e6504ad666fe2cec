"""Webhooks in the store, and the events on their way to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    RowMapping,
    ScalarSelect,
    Select,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from bridge.protocol.requests import DeliveryListing, Listing
from bridge.protocol.views import DeliveryView, Page, WebhookView
from bridge.store.access import Access, as_view, beyond, columns, inside, page, read_cursor
from bridge.store.records import (
    EVERYTHING,
    Delivery,
    DeliveryState,
    DeliveryUpdate,
    Scope,
    StoredWebhook,
)
from bridge.store.rows import storable
from bridge.store.tables import Deliveries, Webhooks

_WEBHOOK = columns(Webhooks, StoredWebhook)
_DELIVERY = columns(Deliveries, Delivery)
_SHOWN = columns(Deliveries, DeliveryView)


class Outbox(Access):
    """Webhooks, and what is sent to them."""

    async def add_webhook(self, webhook: StoredWebhook) -> None:
        """Keep a webhook. Raises StoreError while the database is down: nothing is queued."""
        events = msgspec.json.encode(webhook.events).decode()
        row = storable(msgspec.structs.asdict(webhook) | {"events": events})
        async with self._changing() as connection:
            await connection.execute(self._database.insert(Webhooks), [row])

    async def webhooks(self, listing: Listing, scope: Scope = EVERYTHING) -> Page[WebhookView]:
        """Return the webhooks with the numbers of their deliveries, the oldest first."""
        query = _shown_webhooks().where(*inside(scope, Webhooks.tenant))
        if listing.cursor is not None:
            place = read_cursor(listing.cursor, tuple[float, str])
            query = query.where(beyond(Webhooks.created_at, Webhooks.webhook_id, place))
        query = query.order_by(Webhooks.created_at, Webhooks.webhook_id)
        rows = await self._rows(query.limit(listing.limit + 1))
        return page(rows, listing.limit, _webhook_view, "created_at", "webhook_id")

    async def webhook(self, webhook_id: str) -> WebhookView | None:
        """Return a webhook with the numbers of its deliveries, None if there is none."""
        rows = await self._rows(_shown_webhooks().where(Webhooks.webhook_id == webhook_id))
        return _webhook_view(rows[0]) if rows else None

    async def stored_webhooks(self) -> tuple[StoredWebhook, ...]:
        """Return all webhooks with their secrets, for who sends; the oldest first."""
        query = select(*_WEBHOOK).order_by(Webhooks.created_at, Webhooks.webhook_id)
        rows = await self._rows(query, written=False)
        return tuple(StoredWebhook(**_with_events(row)) for row in rows)

    async def remove_webhook(self, webhook_id: str, scope: Scope = EVERYTHING) -> bool:
        """Forget a webhook and all its deliveries; False if there is none in the scope."""
        its = Webhooks.webhook_id == webhook_id
        async with self._changing() as connection:
            gone = await connection.execute(
                delete(Webhooks).where(its, *inside(scope, Webhooks.tenant))
            )
            if not gone.rowcount:
                return False
            await connection.execute(delete(Deliveries).where(Deliveries.webhook_id == webhook_id))
            return True

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries, as ``write`` does."""
        for one in deliveries:
            self._writer.put(one)

    def set_delivery(self, outcome: DeliveryUpdate) -> None:
        """Take how an attempt ended, as ``write`` does."""
        self._writer.put(outcome)

    async def due_deliveries(
        self, now: float, *, limit: int = 100, without: Collection[str] = ()
    ) -> tuple[Delivery, ...]:
        """Return what is to be sent now: of each webhook and call the oldest that is pending.

        Those of this daemon alone; a delivery without a call waits for no other. without: webhooks
        that are left out, being busy, so that a slow one keeps no other's from being returned.
        Raises StoreError also while the database is behind with how attempts have ended.
        """
        # How the attempts before have ended has to be there, or they would be made again.
        await self._settle()
        query = select(*_DELIVERY).where(*self._first_in_line(), Deliveries.next_at <= now)
        if without:
            query = query.where(Deliveries.webhook_id.not_in(sorted(without)))
        rows = await self._rows(query.order_by(Deliveries.row_id).limit(limit))
        return tuple(Delivery(**{**row, "state": DeliveryState(row["state"])}) for row in rows)

    async def next_delivery_at(self) -> float | None:
        """Return when the next delivery is due, None if none is pending."""
        rows = await self._rows(
            select(func.min(Deliveries.next_at).label("at")).where(*self._first_in_line())
        )
        found: float | None = rows[0]["at"]
        return found

    async def pending_deliveries(self) -> dict[str, int]:
        """Return how many deliveries wait to be sent by this daemon, by webhook, if any do."""
        query = (
            select(Deliveries.webhook_id, func.count().label("number"))
            .where(Deliveries.state == DeliveryState.PENDING, Deliveries.spool_id == self._spool_id)
            .group_by(Deliveries.webhook_id)
        )
        return {row["webhook_id"]: row["number"] for row in await self._rows(query)}

    async def deliveries(self, webhook_id: str, listing: DeliveryListing) -> Page[DeliveryView]:
        """Return the deliveries of a webhook, the newest first."""
        query = select(Deliveries.row_id, *_SHOWN).where(Deliveries.webhook_id == webhook_id)
        if listing.state is not None:
            query = query.where(Deliveries.state == listing.state)
        if listing.cursor is not None:
            (before,) = read_cursor(listing.cursor, tuple[int])
            query = query.where(Deliveries.row_id < before)
        query = query.order_by(Deliveries.row_id.desc()).limit(listing.limit + 1)
        rows = await self._rows(query)
        return page(rows, listing.limit, as_view(DeliveryView), "row_id")

    async def replay(
        self, webhook_id: str, delivery_ids: Sequence[str] | None, *, now: float
    ) -> int:
        """Make deliveries pending and due again, with no attempt made; return how many.

        delivery_ids: by default all that are dead. They become this daemon's.
        """
        which = (
            Deliveries.state == DeliveryState.DEAD
            if delivery_ids is None
            else Deliveries.delivery_id.in_(list(delivery_ids))
        )
        again = update(Deliveries).where(Deliveries.webhook_id == webhook_id, which)
        # What was written of them before has to be there first, or it would undo this.
        await self._settle()
        async with self._changing() as connection:
            changed = await connection.execute(
                again.values(
                    state=DeliveryState.PENDING,
                    attempts=0,
                    next_at=now,
                    spool_id=self._spool_id,
                )
            )
            return changed.rowcount

    def _first_in_line(self) -> tuple[Any, ...]:
        """Return the conditions for what waits for nothing but its time."""
        earlier = aliased(Deliveries)
        waits = exists().where(
            and_(
                earlier.webhook_id == Deliveries.webhook_id,
                earlier.call_id == Deliveries.call_id,
                earlier.state == DeliveryState.PENDING,
                earlier.spool_id == self._spool_id,
                earlier.row_id < Deliveries.row_id,
            )
        )
        known = exists().where(
            Webhooks.webhook_id == Deliveries.webhook_id, Webhooks.active.is_(True)
        )
        return (
            Deliveries.state == DeliveryState.PENDING,
            Deliveries.spool_id == self._spool_id,
            known,
            or_(Deliveries.call_id.is_(None), ~waits),
        )


def _shown_webhooks() -> Select[Any]:
    def number(state: DeliveryState) -> ScalarSelect[int]:
        its = select(func.count()).where(
            Deliveries.webhook_id == Webhooks.webhook_id, Deliveries.state == state
        )
        return its.scalar_subquery()

    return select(
        *_WEBHOOK,
        number(DeliveryState.PENDING).label("pending"),
        number(DeliveryState.DEAD).label("dead"),
    )


def _with_events(row: RowMapping) -> dict[str, Any]:
    return {**row, "events": msgspec.json.decode(row["events"], type=tuple[str, ...])}


def _webhook_view(row: RowMapping) -> WebhookView:
    values = _with_events(row)
    return WebhookView(**{name: values[name] for name in WebhookView.__struct_fields__})
