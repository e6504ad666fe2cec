"""Client and ActiveCall: what programs are written against."""

from bridge.sdk import events
from bridge.sdk.call import ActiveCall
from bridge.sdk.client import Client

__all__ = ["ActiveCall", "Client", "events"]
