"""Events sent to other people's servers: signed, in order, again and again until they arrive."""

from __future__ import annotations

from bridge.webhooks.addresses import Addresses
from bridge.webhooks.retries import Retries
from bridge.webhooks.signing import HEADER, sign, verify
from bridge.webhooks.webhooks import Webhooks, WebhookSettings

__all__ = ["HEADER", "Addresses", "Retries", "WebhookSettings", "Webhooks", "sign", "verify"]
