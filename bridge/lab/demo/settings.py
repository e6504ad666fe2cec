"""How the demonstration is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.lab.demo.result import Limits
from bridge.lab.demo.story import STEPS, Step
from bridge.lab.phones import Codec
from bridge.model.participants import Participant

SENT_DBFS: Final = -15.0
RATE: Final = 16000
"""Hz of all ears."""

Tell = Callable[[str], None]
"""Told what happens now, for people who wait."""

Tones = Mapping[Participant, float]
"""Hz of every voice of one call."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """How the story is told."""

    codec: Codec = Codec.L16_16000
    """Of the phones."""
    silent: frozenset[Participant] = frozenset()
    """Parties whose phones send no RTP at all."""
    keep: Path | None = None
    """Where the recordings and the timeline are left."""
    steps: tuple[Step, ...] = STEPS
    """The story of the first act."""

    @property
    def limits(self) -> Limits:
        """What counts as heard behind this codec."""
        return Limits(SENT_DBFS, self.codec.absent_below_db)
