"""An observer's part in a call, from coming to going: a pure state machine."""

from bridge.session.observer.machine import step
from bridge.session.observer.state import Observer, Stage

__all__ = ["Observer", "Stage", "step"]
