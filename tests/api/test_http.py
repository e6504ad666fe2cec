"""What every operation has in common."""

from __future__ import annotations

from tests.support.daemon import RunningApi


async def test_health_is_open_to_everybody(api: RunningApi) -> None:
    health = await api.done("GET", "/health", key=None)
    assert health["live"]
    assert health["ready"]
    assert health["parts"]["ari"] == "ok"
