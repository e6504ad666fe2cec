"""Events sent to other people's servers: signed, in order, again and again until they arrive.

Receivers use ``verify``, which needs nothing of the server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from bridge.webhooks.signing import HEADER, sign, verify

if TYPE_CHECKING:
    from bridge.webhooks.addresses import Addresses
    from bridge.webhooks.retries import Retries
    from bridge.webhooks.webhooks import Webhooks, WebhookSettings
else:
    _MODULES: Final = {
        "Addresses": "addresses",
        "Retries": "retries",
        "WebhookSettings": "webhooks",
        "Webhooks": "webhooks",
    }

    def __getattr__(name: str) -> object:
        # Not before it is asked for: a receiver has no database.
        if name not in _MODULES:
            raise AttributeError(f"module 'bridge.webhooks' has no attribute {name!r}")
        return getattr(importlib.import_module(f"bridge.webhooks.{_MODULES[name]}"), name)


__all__ = ["HEADER", "Addresses", "Retries", "WebhookSettings", "Webhooks", "sign", "verify"]
