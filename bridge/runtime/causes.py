"""Why a callee could not be had, from the hangup cause that Asterisk reports."""

from __future__ import annotations

from typing import Final

from bridge.model.errors import ErrorCode
from bridge.model.states import HangupCause
from bridge.session.inputs import CalleeFailed

_CODES: Final[dict[int, ErrorCode]] = {
    HangupCause.UNALLOCATED: ErrorCode.CALL_UNREACHABLE,
    HangupCause.NO_ROUTE: ErrorCode.CALL_UNREACHABLE,
    HangupCause.SUBSCRIBER_ABSENT: ErrorCode.CALL_UNREACHABLE,
    HangupCause.DESTINATION_OUT_OF_ORDER: ErrorCode.CALL_UNREACHABLE,
    HangupCause.BUSY: ErrorCode.CALL_BUSY,
    HangupCause.REJECTED: ErrorCode.CALL_DECLINED,
    HangupCause.NO_USER_RESPONSE: ErrorCode.CALL_UNANSWERED,
    HangupCause.NO_ANSWER: ErrorCode.CALL_UNANSWERED,
}

_MESSAGES: Final = {
    ErrorCode.CALL_UNREACHABLE: "{endpoint} cannot be reached: unknown, or not registered",
    ErrorCode.CALL_BUSY: "{endpoint} is busy",
    ErrorCode.CALL_DECLINED: "{endpoint} declined the call",
    ErrorCode.CALL_UNANSWERED: "{endpoint} did not answer",
    ErrorCode.CALL_FAILED: "the call to {endpoint} failed",
}


def callee_failed(endpoint: str, cause: int, text: str = "") -> CalleeFailed:
    """Say why ``endpoint`` was not had. cause: Q.850; text: Asterisk's own words."""
    code = _CODES.get(cause, ErrorCode.CALL_FAILED)
    words = f" ({text})" if text else ""
    message = f"{_MESSAGES[code].format(endpoint=endpoint)}: hangup cause {cause}{words}"
    return CalleeFailed(code, message, cause)


def unanswered(endpoint: str, seconds: int) -> CalleeFailed:
    """Say that ``endpoint`` rang for all the time it was given."""
    message = f"{endpoint} did not answer within {seconds} s"
    return CalleeFailed(ErrorCode.CALL_UNANSWERED, message, HangupCause.NO_ANSWER)


def unreachable(endpoint: str, reason: str) -> CalleeFailed:
    """Say that ``endpoint`` could not even be rung."""
    code = ErrorCode.CALL_UNREACHABLE
    return CalleeFailed(code, f"{_MESSAGES[code].format(endpoint=endpoint)} ({reason})")
