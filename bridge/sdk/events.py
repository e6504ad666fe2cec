"""The events that a program can listen to: ``from bridge import events``."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ClientEvent(StrEnum):
    """For ``client.on``: the handler gets the call."""

    INCOMING_CALL = "INCOMING_CALL"
    """Somebody calls; the call is PENDING. Each call has a task of its own for the handler."""


class CallEvent(StrEnum):
    """For ``call.on``, or ``client.on`` to hear of every call.

    A handler takes no argument, or the call; it may be a coroutine function.
    """

    CALL_ANSWERED = "CALL_ANSWERED"
    CALL_ANSWER_FAILED = "CALL_ANSWER_FAILED"
    CALL_CONNECTED = "CALL_CONNECTED"
    CALL_CONNECT_FAILED = "CALL_CONNECT_FAILED"
    CALL_MODE_CHANGED = "CALL_MODE_CHANGED"
    """``call.mode`` is another one: by command, or silent because something failed."""
    CALL_TERMINATED = "CALL_TERMINATED"
    """The call ended or the agent left it: once, last. ``call.end_reason`` says why."""


class ObserverEvent(StrEnum):
    """For ``observer.on``. A handler takes no argument, or the observer."""

    OBSERVER_MODE_CHANGED = "OBSERVER_MODE_CHANGED"
    """``observer.mode`` is another: by command, by a key, or silent because something failed."""
    OBSERVER_LEFT = "OBSERVER_LEFT"
    """He takes part no longer: once, last. ``observer.left`` says why."""


OBSERVER_MODE_CHANGED: Final = ObserverEvent.OBSERVER_MODE_CHANGED
OBSERVER_LEFT: Final = ObserverEvent.OBSERVER_LEFT

INCOMING_CALL: Final = ClientEvent.INCOMING_CALL
CALL_ANSWERED: Final = CallEvent.CALL_ANSWERED
CALL_ANSWER_FAILED: Final = CallEvent.CALL_ANSWER_FAILED
CALL_CONNECTED: Final = CallEvent.CALL_CONNECTED
CALL_CONNECT_FAILED: Final = CallEvent.CALL_CONNECT_FAILED
CALL_MODE_CHANGED: Final = CallEvent.CALL_MODE_CHANGED
CALL_TERMINATED: Final = CallEvent.CALL_TERMINATED
