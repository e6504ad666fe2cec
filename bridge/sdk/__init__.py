"""Client and ActiveCall: what programs are written against."""

from bridge.sdk import events
from bridge.sdk.call import ActiveCall
from bridge.sdk.client import Client
from bridge.sdk.observer import Observer

__all__ = ["ActiveCall", "Client", "Observer", "events"]
