"""The only place that speaks ARI."""

from bridge.ari.backoff import Backoff
from bridge.ari.capabilities import Capabilities
from bridge.ari.connection import AriConnection
from bridge.ari.generated import events, models, resources
from bridge.ari.ids import is_ours, new_id
from bridge.ari.refs import ResourceRef
from bridge.ari.settings import AriSettings
from bridge.ari.state import LinkState, LinkStatus

__all__ = [
    "AriConnection",
    "AriSettings",
    "Backoff",
    "Capabilities",
    "LinkState",
    "LinkStatus",
    "ResourceRef",
    "events",
    "is_ours",
    "models",
    "new_id",
    "resources",
]
