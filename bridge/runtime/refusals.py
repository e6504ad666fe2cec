"""The errors that a program gets for what the state machine refuses."""

from __future__ import annotations

from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    CallClosedError,
    CallerGoneError,
    CommandInProgressError,
    CommandTimeoutError,
    ConnectFailedError,
    ErrorCode,
    InvalidStateError,
    ServerError,
    ServerUnreachableError,
)
from bridge.session.effects import Refuse

_CONNECT_FAILED = {
    ErrorCode.CALL_UNANSWERED,
    ErrorCode.CALL_BUSY,
    ErrorCode.CALL_DECLINED,
    ErrorCode.CALL_UNREACHABLE,
    ErrorCode.CALL_FAILED,
}


def error_of(refusal: Refuse) -> CallbridgeError:
    """Return the error of the tree that a refusal's code stands for."""
    message, code = refusal.message, refusal.code
    match code:
        case ErrorCode.INVALID_STATE:
            return InvalidStateError(message)
        case ErrorCode.COMMAND_IN_PROGRESS:
            return CommandInProgressError(message)
        case ErrorCode.BAD_ARGUMENT:
            return BadArgumentError(message)
        case ErrorCode.CALL_CLOSED:
            return CallClosedError(message)
        case ErrorCode.CALLER_GONE:
            return CallerGoneError(message)
        case ErrorCode.SERVER_UNREACHABLE:
            return ServerUnreachableError(message)
        case ErrorCode.COMMAND_TIMEOUT:
            return CommandTimeoutError(message)
        case _ if code in _CONNECT_FAILED:
            return ConnectFailedError(message, code=code, cause=refusal.cause)
        case _:
            return ServerError(message, code=code)
