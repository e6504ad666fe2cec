"""The life of a call as a state machine. Pure: no IO, no clock, no randomness."""

from bridge.session.machine import step
from bridge.session.state import Phase, Session

__all__ = ["Phase", "Session", "step"]
