"""Call control for Asterisk: answer, connect, spy, whisper, barge, hand over.

::

    from bridge import ActiveCall, Client, errors, events
"""

from bridge.model import errors
from bridge.model.modes import AudioMode
from bridge.model.states import CallState, EndReason
from bridge.sdk import ActiveCall, Client, Observer, events

__all__ = [
    "ActiveCall",
    "AudioMode",
    "CallState",
    "Client",
    "EndReason",
    "Observer",
    "errors",
    "events",
]
