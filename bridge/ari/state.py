"""The state of the way to Asterisk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LinkStatus(StrEnum):
    """Whether events arrive."""

    NEW = "NEW"
    """``open()`` has not succeeded yet."""
    UP = "UP"
    DOWN = "DOWN"
    """The events WebSocket dropped; it is being opened again, without end."""
    REPLACED = "REPLACED"
    """Another program registered our application's name. Final: we do not fight for it."""
    CLOSED = "CLOSED"
    """``close()`` was called. Final."""


@dataclass(frozen=True)
class LinkState:
    """The status and what is known about it."""

    status: LinkStatus
    reason: str = ""
    """For people: why it is not UP."""
    refused: bool = False
    """DOWN: nobody listens at the address, so Asterisk is not running and its calls are over."""
    reconnected: bool = False
    """UP: events were lost, or requests carried out late, since the last UP: list what stands and
    compare."""
    restarted: bool = False
    """UP: this is another run of Asterisk than before: nothing of what stood is left."""

    @property
    def is_up(self) -> bool:
        """Whether events arrive."""
        return self.status is LinkStatus.UP
