"""Errors across the network: problem details (RFC 9457), with the codes of ``ErrorCode``."""

from __future__ import annotations

from typing import Final

import msgspec

from bridge.model import errors
from bridge.model.errors import CallbridgeError, ErrorCode

CONTENT_TYPE: Final = "application/problem+json"

STATUS: Final[dict[ErrorCode, int]] = {
    ErrorCode.BAD_ARGUMENT: 422,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.DIAL_DENIED: 403,
    ErrorCode.TRANSFER_DENIED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CALL_NOT_FOUND: 404,
    ErrorCode.INVALID_STATE: 409,
    ErrorCode.COMMAND_IN_PROGRESS: 409,
    ErrorCode.CALL_CLOSED: 409,
    ErrorCode.CALL_AMBIGUOUS: 409,
    ErrorCode.CALLER_GONE: 409,
    ErrorCode.BUFFER_FULL: 409,
    ErrorCode.CALL_UNANSWERED: 409,
    ErrorCode.CALL_BUSY: 409,
    ErrorCode.CALL_DECLINED: 409,
    ErrorCode.CALL_UNREACHABLE: 409,
    ErrorCode.CALL_FAILED: 409,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.NOT_SUPPORTED: 409,
    ErrorCode.BAD_CONFIGURATION: 409,
    ErrorCode.SERVER_UNREACHABLE: 503,
    ErrorCode.STORE_UNAVAILABLE: 503,
    ErrorCode.DRAINING: 503,
    ErrorCode.COMMAND_TIMEOUT: 504,
    ErrorCode.REQUEST_FAILED: 502,
    ErrorCode.MEDIA_FAILED: 502,
    ErrorCode.AUTHENTICATION_FAILED: 502,
}
"""HTTP status by code. 502 to 504 are Asterisk's failures, told as such; never this server's."""

EVERY_OPERATION: Final = (
    ErrorCode.UNAUTHENTICATED,
    ErrorCode.FORBIDDEN,
    ErrorCode.BAD_ARGUMENT,
    ErrorCode.RATE_LIMITED,
    ErrorCode.DRAINING,
    ErrorCode.SERVER_UNREACHABLE,
    ErrorCode.COMMAND_TIMEOUT,
    ErrorCode.REQUEST_FAILED,
    ErrorCode.MEDIA_FAILED,
    ErrorCode.AUTHENTICATION_FAILED,
    ErrorCode.STORE_UNAVAILABLE,
)


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field. ``at``: a JSON path, such as ``$.to``."""

    at: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. ``code`` is for programs, ``detail`` for people."""

    type: str
    title: str
    status: int
    code: ErrorCode
    detail: str
    hangup_cause: int | None = None
    retry_after: float | None = None
    """Seconds; of RATE_LIMITED, DRAINING and SERVER_UNREACHABLE."""
    fields: tuple[FieldError, ...] = ()


def problem_of(error: CallbridgeError) -> Problem:
    """Return what is told of an error."""
    code = error.error_code
    return msgspec.structs.replace(
        plain_problem(STATUS.get(code, 502), code, error.error_message),
        hangup_cause=getattr(error, "hangup_cause", None),
        retry_after=getattr(error, "retry_after", None),
        fields=getattr(error, "fields", ()),
    )


def plain_problem(status: int, code: ErrorCode, detail: str) -> Problem:
    """Return a problem that no error stands for: what HTTP itself refuses."""
    return Problem(
        type=f"urn:callbridge:error:{code.lower().replace('_', '-')}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        code=code,
        detail=detail,
    )


_CLASSES: Final[dict[ErrorCode, type[CallbridgeError]]] = {
    ErrorCode.INVALID_STATE: errors.InvalidStateError,
    ErrorCode.COMMAND_IN_PROGRESS: errors.CommandInProgressError,
    ErrorCode.CALL_CLOSED: errors.CallClosedError,
    ErrorCode.BAD_ARGUMENT: errors.BadArgumentError,
    ErrorCode.BUFFER_FULL: errors.BufferFullError,
    ErrorCode.CALL_NOT_FOUND: errors.CallNotFoundError,
    ErrorCode.CALL_AMBIGUOUS: errors.AmbiguousCallError,
    ErrorCode.TRANSFER_DENIED: errors.TransferDeniedError,
    ErrorCode.DIAL_DENIED: errors.DialDeniedError,
    ErrorCode.NOT_FOUND: errors.NotFoundError,
    ErrorCode.FORBIDDEN: errors.ForbiddenError,
    ErrorCode.UNAUTHENTICATED: errors.UnauthenticatedError,
    ErrorCode.BAD_CONFIGURATION: errors.ConfigurationError,
    ErrorCode.CALLER_GONE: errors.CallerGoneError,
    ErrorCode.SERVER_UNREACHABLE: errors.ServerUnreachableError,
    ErrorCode.NOT_SUPPORTED: errors.CapabilityError,
    ErrorCode.COMMAND_TIMEOUT: errors.CommandTimeoutError,
    ErrorCode.MEDIA_FAILED: errors.MediaError,
    ErrorCode.STORE_UNAVAILABLE: errors.StoreError,
}
_CONNECTING: Final = frozenset(
    {
        ErrorCode.CALL_UNANSWERED,
        ErrorCode.CALL_BUSY,
        ErrorCode.CALL_DECLINED,
        ErrorCode.CALL_UNREACHABLE,
        ErrorCode.CALL_FAILED,
    }
)


def error_for(code: ErrorCode, detail: str) -> CallbridgeError:
    """Return the error of a code, told otherwise than by problem details."""
    return error_of(
        Problem(type="", title="", status=STATUS.get(code, 502), code=code, detail=detail)
    )


def error_of(problem: Problem) -> CallbridgeError:
    """Return the error that the same command would have raised in process."""
    if problem.code in _CONNECTING:
        return errors.ConnectFailedError(
            problem.detail, code=problem.code, cause=problem.hangup_cause
        )
    if problem.code is ErrorCode.RATE_LIMITED:
        return errors.RateLimitedError(problem.detail, retry_after=problem.retry_after)
    if problem.code is ErrorCode.DRAINING:
        return errors.DrainingError(problem.detail, retry_after=problem.retry_after)
    if problem.code is ErrorCode.SERVER_UNREACHABLE:
        return errors.ServerUnreachableError(problem.detail, retry_after=problem.retry_after)
    kind = _CLASSES.get(problem.code, errors.ServerError)
    return kind(problem.detail, code=problem.code)
