"""How the daemon does."""

from __future__ import annotations

from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.api.service import Service
from bridge.model.errors import CallbridgeError
from bridge.protocol import operations
from bridge.protocol.views import HealthView

OK = "ok"


@handles(operations.SHOW_HEALTH)
async def show_health(asked: Asked[NoBody, NoQuery]) -> HealthView:
    """Tell whether this daemon lives (it answers) and is ready (it takes calls and commands)."""
    return health_of(asked.service)


def health_of(service: Service) -> HealthView:
    """Return how a daemon does. A store that is down does not keep calls from being taken."""
    asterisk, ari = _asterisk(service)
    parts = {"ari": ari, "store": service.store.health, **service.health()}
    return HealthView(
        live=True,
        ready=parts["ari"] == OK and not service.draining,
        version=service.version,
        asterisk=asterisk,
        calls=len(service.client.calls),
        draining=service.draining,
        parts=parts,
    )


def _asterisk(service: Service) -> tuple[str, str]:
    """Return Asterisk's version, empty while it cannot be reached, and what is wrong."""
    try:
        capabilities = service.client.capabilities
    except CallbridgeError as error:
        return "", error.error_message
    return capabilities.version, OK
