"""A call as it arrives from Asterisk."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.ari import events
from bridge.runtime.names import CallId


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """What is known of a call before anything is done with it."""

    call_id: CallId
    channel_id: str
    """The caller's channel."""
    channel_name: str
    """Asterisk's name of it, such as ``PJSIP/1001-00000001``."""
    caller_number: str
    """As the caller's endpoint gave it; empty when withheld."""
    caller_name: str
    callee_number: str
    """What the caller dialled: the original callee."""


def read_incoming(event: events.StasisStart, call_id: CallId) -> IncomingCall:
    """Read a call from its first event.

    ``Stasis(app,incoming,NUMBER)`` names the callee; without it, it is the extension that the
    caller dialled.
    """
    channel = event.channel
    named = event.args[1] if len(event.args) > 1 and event.args[0] == "incoming" else ""
    return IncomingCall(
        call_id=call_id,
        channel_id=channel.id,
        channel_name=channel.name,
        caller_number=channel.caller.number,
        caller_name=channel.caller.name,
        callee_number=named or channel.dialplan.exten,
    )
