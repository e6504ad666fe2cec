"""Music on hold, as somebody who is heard."""

from __future__ import annotations

from typing import Final

from bridge.model.participants import Participant

MUSIC: Final = Participant("music")
"""A speaker like the others in what is told of a step, although it has no tone."""
