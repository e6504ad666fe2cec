"""Which program has which call: routes, leases, and the fate of calls whose program is gone."""

from bridge.api.programs.programs import Programs

__all__ = ["Programs"]
