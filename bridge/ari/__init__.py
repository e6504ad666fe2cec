"""The only place that speaks ARI."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.ari.backoff import Backoff
    from bridge.ari.capabilities import Capabilities
    from bridge.ari.connection import AriConnection
    from bridge.ari.generated import events, models, resources
    from bridge.ari.refs import ResourceRef
    from bridge.ari.settings import AriSettings
    from bridge.ari.state import LinkState, LinkStatus
else:
    from bridge.lazy import lazily

    __getattr__ = lazily(
        __name__,
        {
            "AriConnection": "bridge.ari.connection:AriConnection",
            "AriSettings": "bridge.ari.settings:AriSettings",
            "Backoff": "bridge.ari.backoff:Backoff",
            "Capabilities": "bridge.ari.capabilities:Capabilities",
            "LinkState": "bridge.ari.state:LinkState",
            "LinkStatus": "bridge.ari.state:LinkStatus",
            "ResourceRef": "bridge.ari.refs:ResourceRef",
            "events": "bridge.ari.generated.events:",
            "models": "bridge.ari.generated.models:",
            "resources": "bridge.ari.generated.resources:",
        },
    )

__all__ = [
    "AriConnection",
    "AriSettings",
    "Backoff",
    "Capabilities",
    "LinkState",
    "LinkStatus",
    "ResourceRef",
    "events",
    "models",
    "resources",
]
