"""A transfer, from the first ring to its outcome: a pure state machine beside that of the call."""

from bridge.session.transfer.machine import step
from bridge.session.transfer.state import Stage, Transfer

__all__ = ["Stage", "Transfer", "step"]
