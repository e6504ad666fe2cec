"""The one place where the HTTP library's errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from bridge.model.errors import (
    AuthenticationError,
    CommandTimeoutError,
    MediaError,
    ServerError,
    ServerUnreachableError,
)

UNKNOWN_OUTCOME = "whether Asterisk did it is unknown: look before you try again"
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404


@contextmanager
def request_faults(what: str, root: str) -> Iterator[None]:
    """Translate what an exchange with the server at ``root`` may raise.

    ``what`` names the exchange: ``GET asterisk/info``.
    """
    try:
        yield
    except TimeoutError as error:
        raise timed_out(what) from error
    except (aiohttp.ClientError, OSError) as error:
        raise translate(error, what, root) from error


def timed_out(what: str) -> CommandTimeoutError:
    """Return the error for an answer that did not come in time."""
    return CommandTimeoutError(f"{what}: no answer in time; {UNKNOWN_OUTCOME}")


def translate(error: Exception, what: str, root: str) -> ServerError:
    """Return our error for one of aiohttp's or of the operating system's."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return _handshake(error.status, what, root)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return ServerUnreachableError(
            f"{what}: no trusted TLS with {root}: {error}; give the authority's certificate with "
            "AriSettings(tls=...)"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return ServerUnreachableError(
            f"{what}: cannot connect to {root}: {error.os_error}; is Asterisk running there, and "
            "does http.conf have enabled=yes and this address?"
        )
    return ServerUnreachableError(
        f"{what}: the connection to {root} broke ({type(error).__name__}: {error}); "
        f"{UNKNOWN_OUTCOME}"
    )


def is_refused(error: BaseException | None) -> bool:
    """Tell whether nobody listens at the address, from an error or its cause."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        if isinstance(error, aiohttp.ClientConnectorError):
            return isinstance(error.os_error, ConnectionRefusedError)
        error = error.__cause__
    return False


def unauthorized(root: str) -> AuthenticationError:
    """Return the error for refused credentials."""
    return AuthenticationError(
        f"Asterisk at {root} refused the username and password: compare them with ari.conf, and "
        "reload res_ari after a change"
    )


def _handshake(status: int, what: str, root: str) -> ServerError:
    if status == UNAUTHORIZED:
        return unauthorized(root)
    if status == FORBIDDEN:
        return AuthenticationError(
            f"Asterisk at {root} does not admit this user from here: see permit, deny and acl in "
            "ari.conf, and allowed_origins"
        )
    if status == NOT_FOUND:
        return not_ari(root)
    return ServerUnreachableError(f"{what}: {root} answered {status} instead of a WebSocket")


def not_ari(root: str) -> ServerUnreachableError:
    """Return the error for a server that is there but does not speak ARI."""
    return ServerUnreachableError(
        f"{root} answers, but not as ARI: check the path of the address (http.conf's prefix) and "
        "that res_ari and its res_ari_* modules are loaded"
    )


def media_failed(error: Exception, connection_id: str) -> MediaError:
    """Return the error for a media socket that could not be opened."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        reason = f"Asterisk answered {error.status}: is the channel gone, or already connected?"
    else:
        reason = f"{type(error).__name__}: {error}"
    return MediaError(f"media socket {connection_id} could not be opened: {reason}")
