"""Client and ActiveCall: what programs are written against."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.sdk import events
    from bridge.sdk.call import ActiveCall
    from bridge.sdk.client import Client
    from bridge.sdk.observer import Observer
else:
    from bridge.lazy import lazily

    __getattr__ = lazily(
        __name__,
        {
            "ActiveCall": "bridge.sdk.call:ActiveCall",
            "Client": "bridge.sdk.client:Client",
            "Observer": "bridge.sdk.observer:Observer",
            "events": "bridge.sdk.events:",
        },
    )

__all__ = ["ActiveCall", "Client", "Observer", "events"]
