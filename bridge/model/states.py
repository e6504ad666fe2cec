"""The states of a call as a program sees them, and why calls end."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class CallState(StrEnum):
    """PENDING → ANSWERED → CONNECTED → DISCONNECTED, some of them skipped at times."""

    PENDING = "PENDING"
    """The caller's phone rings back; nobody has answered."""
    ANSWERED = "ANSWERED"
    """The caller and the agent talk; the callee is not there."""
    CONNECTED = "CONNECTED"
    """Caller and callee talk; the agent takes part in his mode."""
    DISCONNECTED = "DISCONNECTED"
    """The call has ended, or the agent has left it."""


class EndReason(StrEnum):
    """Why a call ended for the program that had it."""

    CALLER_HUNG_UP = "caller_hung_up"
    CALLEE_HUNG_UP = "callee_hung_up"
    AGENT_LEFT = "agent_left"
    """close() while connected: the parties talk on."""
    AGENT_ENDED = "agent_ended"
    """disconnect(), or close() while nobody but the agent was with the caller."""
    PARTY_HUNG_UP = "party_hung_up"
    """One who was added hung up, and nobody was left whom the last one could talk to."""
    TAKEN_OVER = "taken_over"
    """Somebody replaced the agent, who was let go; the parties talk on."""
    NOBODY_LEFT = "nobody_left"
    """Who had taken the call over left, and the last party would have been alone in silence."""
    SERVER_LOST = "server_lost"
    """Asterisk died or cannot be reached; whether the parties still talk is not known."""
    HANDED_OVER = "handed_over"
    """The program left the call as it stands to the next one: ``client.hand_over()``."""
    FAILED = "failed"
    """The call could not be kept; the log has the reason."""


class HangupCause(IntEnum):
    """Q.850 hangup causes that callbridge tells apart or sends."""

    UNALLOCATED = 1
    NO_ROUTE = 3
    NORMAL = 16
    BUSY = 17
    NO_USER_RESPONSE = 18
    NO_ANSWER = 19
    SUBSCRIBER_ABSENT = 20
    REJECTED = 21
    DESTINATION_OUT_OF_ORDER = 27
    NETWORK_OUT_OF_ORDER = 38
    TEMPORARY_FAILURE = 41
