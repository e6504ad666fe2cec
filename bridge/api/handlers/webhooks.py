"""Where events are sent."""

from __future__ import annotations

from typing import Final

from bridge.api.auth.principal import Principal
from bridge.api.decoding import wrong
from bridge.api.known import scope_of
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.api.service import Service
from bridge.model.errors import ForbiddenError, NotFoundError
from bridge.protocol import operations
from bridge.protocol.permissions import EVERY_TENANT
from bridge.protocol.requests import CreateWebhook, DeliveryListing, Listing, Replay
from bridge.protocol.views import DeliveryView, Page, WebhookView
from bridge.sdk.events import CallEvent, ClientEvent, ObserverEvent, WatchEvent

EVENTS: Final = frozenset(
    str(event) for kind in (ClientEvent, CallEvent, ObserverEvent, WatchEvent) for event in kind
)
"""Types of events that may be asked for."""


@handles(operations.LIST_WEBHOOKS)
async def list_webhooks(asked: Asked[NoBody, Listing]) -> Page[WebhookView]:
    """List the webhooks of one's tenant, the eldest first."""
    page = await asked.service.store.webhooks(asked.query, scope_of(asked.principal))
    seen = tuple(one for one in page.items if asked.principal.sees(one.tenant))
    return Page(items=seen, next=page.next)


@handles(operations.CREATE_WEBHOOK)
async def create_webhook(asked: Asked[CreateWebhook, NoQuery]) -> WebhookView:
    """Send events of a tenant to an address from now on."""
    principal, body = asked.principal, asked.body
    tenant = body.tenant if body.tenant is not None else principal.tenant
    if principal.tenant not in {EVERY_TENANT, tenant}:
        raise ForbiddenError(f"a key of the tenant {principal.tenant} gets no other's events")
    if principal.queues:
        raise ForbiddenError("a webhook gets the events of all queues: a key of some may make none")
    for index, event in enumerate(body.events):
        if event not in EVENTS:
            raise wrong(f"$.events[{index}]", f"there is no {event}; {', '.join(sorted(EVENTS))}")
    return await asked.service.webhooks.create(
        url=body.url, secret=body.secret, events=body.events, tenant=tenant
    )


@handles(operations.DELETE_WEBHOOK)
async def delete_webhook(asked: Asked[NoBody, NoQuery]) -> None:
    """Send nothing there any more, not even what is on its way."""
    webhook = await _webhook(asked.service, asked.principal, asked.path["webhook_id"])
    if not await asked.service.webhooks.remove(webhook.webhook_id, scope_of(asked.principal)):
        raise _none(webhook.webhook_id)


@handles(operations.LIST_DELIVERIES)
async def list_deliveries(asked: Asked[NoBody, DeliveryListing]) -> Page[DeliveryView]:
    """List what was sent to a webhook, the newest first."""
    webhook = await _webhook(asked.service, asked.principal, asked.path["webhook_id"])
    return await asked.service.store.deliveries(webhook.webhook_id, asked.query)


@handles(operations.REPLAY_DELIVERIES)
async def replay_deliveries(asked: Asked[Replay, NoQuery]) -> WebhookView:
    """Send again what is dead, or what is named."""
    webhook = await _webhook(asked.service, asked.principal, asked.path["webhook_id"])
    await asked.service.webhooks.replay(webhook.webhook_id, asked.body.delivery_ids)
    return await _webhook(asked.service, asked.principal, webhook.webhook_id)


async def _webhook(service: Service, principal: Principal, webhook_id: str) -> WebhookView:
    webhook = await service.store.webhook(webhook_id)
    if webhook is None or not principal.sees(webhook.tenant):
        raise _none(webhook_id)
    return webhook


def _none(webhook_id: str) -> NotFoundError:
    return NotFoundError(f"there is no webhook {webhook_id}: GET /webhooks lists them")
