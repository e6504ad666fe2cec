"""The imperative heart: a mailbox per call, the executor, the registry, reconciliation."""

from bridge.runtime.controller import Controller
from bridge.runtime.engine import CallEngine
from bridge.runtime.incoming import IncomingCall
from bridge.runtime.names import CallId
from bridge.runtime.settings import ControllerSettings

__all__ = ["CallEngine", "CallId", "Controller", "ControllerSettings", "IncomingCall"]
