"""Every error of callbridge, split by whose fault it is.

::

    CallbridgeError                      code
    ├── UsageError                       the program's fault: fix the call
    │   ├── InvalidStateError            INVALID_STATE
    │   ├── CommandInProgressError       COMMAND_IN_PROGRESS
    │   ├── CallClosedError              CALL_CLOSED
    │   ├── BadArgumentError             BAD_ARGUMENT
    │   ├── BufferFullError              BUFFER_FULL
    │   ├── CallNotFoundError            CALL_NOT_FOUND
    │   ├── AmbiguousCallError           CALL_AMBIGUOUS
    │   ├── TransferDeniedError          TRANSFER_DENIED
    │   ├── DialDeniedError              DIAL_DENIED
    │   ├── NotFoundError                NOT_FOUND
    │   ├── UnauthenticatedError         UNAUTHENTICATED
    │   ├── ForbiddenError               FORBIDDEN
    │   ├── RateLimitedError             RATE_LIMITED (retry_after)
    │   └── ConfigurationError           BAD_CONFIGURATION
    ├── CallError                        the far side's doing: the call goes on
    │   ├── ConnectFailedError           CALL_UNANSWERED, CALL_BUSY, CALL_DECLINED,
    │   │                                CALL_UNREACHABLE, CALL_FAILED
    │   └── CallerGoneError              CALLER_GONE
    ├── ServerError                      Asterisk's fault, or the way to it
    │   ├── ServerUnreachableError       SERVER_UNREACHABLE (retry_after)
    │   ├── AuthenticationError          AUTHENTICATION_FAILED
    │   ├── CapabilityError              NOT_SUPPORTED
    │   ├── RequestFailedError           REQUEST_FAILED (status, resource, reason)
    │   ├── CommandTimeoutError          COMMAND_TIMEOUT
    │   ├── MediaError                   MEDIA_FAILED
    │   ├── StoreError                   STORE_UNAVAILABLE
    │   └── DrainingError                DRAINING (retry_after)
    └── LabError                         the laboratory: embedded Asterisk and softphones
        ├── PackageError                 PACKAGE_UNAVAILABLE
        ├── InstanceError                INSTANCE_FAILED
        └── PhoneError                   PHONE_FAILED

SLOW_READER is no error of a command: a socket is closed with it whose reader falls behind.

The codes are part of the interface: they cross process borders unchanged.
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus
from typing import ClassVar


class ErrorCode(StrEnum):
    """What went wrong, for programs. Stable across versions and over the wire."""

    INVALID_STATE = "INVALID_STATE"
    COMMAND_IN_PROGRESS = "COMMAND_IN_PROGRESS"
    CALL_CLOSED = "CALL_CLOSED"
    BAD_ARGUMENT = "BAD_ARGUMENT"
    BUFFER_FULL = "BUFFER_FULL"
    CALL_NOT_FOUND = "CALL_NOT_FOUND"
    CALL_AMBIGUOUS = "CALL_AMBIGUOUS"
    TRANSFER_DENIED = "TRANSFER_DENIED"
    DIAL_DENIED = "DIAL_DENIED"
    NOT_FOUND = "NOT_FOUND"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    RATE_LIMITED = "RATE_LIMITED"
    SLOW_READER = "SLOW_READER"
    BAD_CONFIGURATION = "BAD_CONFIGURATION"
    CALL_UNANSWERED = "CALL_UNANSWERED"
    CALL_BUSY = "CALL_BUSY"
    CALL_DECLINED = "CALL_DECLINED"
    CALL_UNREACHABLE = "CALL_UNREACHABLE"
    CALL_FAILED = "CALL_FAILED"
    CALLER_GONE = "CALLER_GONE"
    SERVER_UNREACHABLE = "SERVER_UNREACHABLE"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REQUEST_FAILED = "REQUEST_FAILED"
    COMMAND_TIMEOUT = "COMMAND_TIMEOUT"
    MEDIA_FAILED = "MEDIA_FAILED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    DRAINING = "DRAINING"
    PACKAGE_UNAVAILABLE = "PACKAGE_UNAVAILABLE"
    INSTANCE_FAILED = "INSTANCE_FAILED"
    PHONE_FAILED = "PHONE_FAILED"


class CallbridgeError(Exception):
    """Base of all errors. ``error_code`` is for programs, ``error_message`` for people."""

    default_code: ClassVar[ErrorCode]

    def __init__(self, message: str, *, code: ErrorCode | None = None) -> None:
        super().__init__(message)
        self.error_code = code or self.default_code
        self.error_message = message


class UsageError(CallbridgeError):
    """The program asked for something that cannot be; nothing was changed."""

    default_code = ErrorCode.BAD_ARGUMENT


class InvalidStateError(UsageError):
    """The command does not exist in the state that the call is in."""

    default_code = ErrorCode.INVALID_STATE


class CommandInProgressError(UsageError):
    """Another command of the same call has to end first."""

    default_code = ErrorCode.COMMAND_IN_PROGRESS


class CallClosedError(UsageError):
    """The call has ended, or this agent has left it."""

    default_code = ErrorCode.CALL_CLOSED


class BadArgumentError(UsageError):
    """An argument has no meaning here; the message says which values have."""

    default_code = ErrorCode.BAD_ARGUMENT


class BufferFullError(UsageError):
    """More audio was sent than the send buffer holds; none of the chunk was taken."""

    default_code = ErrorCode.BUFFER_FULL


class CallNotFoundError(UsageError):
    """No live call of the PBX is meant by what was given; the message lists those there are."""

    default_code = ErrorCode.CALL_NOT_FOUND


class AmbiguousCallError(UsageError):
    """More than one live call is meant; the message lists them and how to say which."""

    default_code = ErrorCode.CALL_AMBIGUOUS


class TransferDeniedError(UsageError):
    """The transfer policy does not allow it."""

    default_code = ErrorCode.TRANSFER_DENIED


class DialDeniedError(UsageError):
    """What was to be dialled is not on the list of what may be, or a limit is reached."""

    default_code = ErrorCode.DIAL_DENIED


class NotFoundError(UsageError):
    """There is no such thing, or it is somebody else's; the message says which there are."""

    default_code = ErrorCode.NOT_FOUND


class UnauthenticatedError(UsageError):
    """The server does not know who asks: no key, or one that is wrong, expired or revoked."""

    default_code = ErrorCode.UNAUTHENTICATED


class ForbiddenError(UsageError):
    """Who asks may not do this; the message says which permission it needs."""

    default_code = ErrorCode.FORBIDDEN


class RateLimitedError(UsageError):
    """Too many requests in too short a time."""

    default_code = ErrorCode.RATE_LIMITED

    def __init__(
        self, message: str, *, code: ErrorCode | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        """Seconds until it is worth trying again, or None."""


class ConfigurationError(UsageError):
    """The configuration is missing or wrong; the message says where it is looked for."""

    default_code = ErrorCode.BAD_CONFIGURATION


class CallError(CallbridgeError):
    """Somebody on the line did what people do. Not a fault of program or server."""

    default_code = ErrorCode.CALL_FAILED


class ConnectFailedError(CallError):
    """The callee could not be had; the call stays in the state that it was in."""

    default_code = ErrorCode.CALL_FAILED

    def __init__(
        self, message: str, *, code: ErrorCode | None = None, cause: int | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.hangup_cause = cause
        """Q.850 cause as Asterisk reported it, or None."""


class CallerGoneError(CallError):
    """The caller hung up while the command was on its way."""

    default_code = ErrorCode.CALLER_GONE


class ServerError(CallbridgeError):
    """Asterisk, or the way to it, failed."""

    default_code = ErrorCode.REQUEST_FAILED


class ServerUnreachableError(ServerError):
    """No connection to Asterisk's HTTP server can be had."""

    default_code = ErrorCode.SERVER_UNREACHABLE

    def __init__(
        self, message: str, *, code: ErrorCode | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        """Seconds until it is worth trying again, or None."""


class AuthenticationError(ServerError):
    """Asterisk refused the username and password."""

    default_code = ErrorCode.AUTHENTICATION_FAILED


class CapabilityError(ServerError):
    """This Asterisk cannot do what was asked; the message names the version that can."""

    default_code = ErrorCode.NOT_SUPPORTED


class RequestFailedError(ServerError):
    """Asterisk answered an ARI request with an error."""

    default_code = ErrorCode.REQUEST_FAILED

    def __init__(self, *, status: int, method: str, resource: str, reason: str) -> None:
        super().__init__(f"{method} {resource}: {status} {reason}")
        self.status = status
        """HTTP status."""
        self.method = method
        self.resource = resource
        """Path of the resource below /ari, such as ``bridges/b-1/addChannel``."""
        self.reason = reason
        """Asterisk's own words."""

    @property
    def is_not_found(self) -> bool:
        """What was asked for is not there, or is there no more."""
        return self.status == HTTPStatus.NOT_FOUND


class CommandTimeoutError(ServerError):
    """Asterisk did not do, or did not report, what was asked within the deadline."""

    default_code = ErrorCode.COMMAND_TIMEOUT


class MediaError(ServerError):
    """A media socket could not be opened or broke."""

    default_code = ErrorCode.MEDIA_FAILED


class StoreError(ServerError):
    """The store cannot be reached: calls go on, and what is written meanwhile is kept for it."""

    default_code = ErrorCode.STORE_UNAVAILABLE


class DrainingError(ServerError):
    """The daemon is about to stop and takes nothing new."""

    default_code = ErrorCode.DRAINING

    def __init__(
        self, message: str, *, code: ErrorCode | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        """Seconds until it is worth trying again, or None."""


class LabError(CallbridgeError):
    """The laboratory failed: the embedded Asterisk or a softphone."""

    default_code = ErrorCode.INSTANCE_FAILED


class PackageError(LabError):
    """Asterisk's packages could not be fetched or are damaged."""

    default_code = ErrorCode.PACKAGE_UNAVAILABLE


class InstanceError(LabError):
    """An embedded Asterisk did not start, or died."""

    default_code = ErrorCode.INSTANCE_FAILED


class PhoneError(LabError):
    """A softphone could not do what was asked."""

    default_code = ErrorCode.PHONE_FAILED
