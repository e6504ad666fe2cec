"""TLS of the server."""

from __future__ import annotations

import ssl
from pathlib import Path

from bridge.model.errors import ConfigurationError


def server_tls(cert: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """Return the context of a server: TLS 1.2 at least.

    cert: the chain, PEM, the server's own certificate first. key: PEM, without a passphrase.
    client_ca: who signs the clients' certificates; who shows none of them gets no connection.
    Raises ConfigurationError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load(context, cert, key)
    if client_ca is not None:
        try:
            context.load_verify_locations(cafile=_readable(client_ca, "the clients' CA"))
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"{client_ca} holds no certificate in PEM: give the CA that signed the clients'"
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def reload_certificate(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Have new connections get a new certificate; those that stand keep theirs.

    Raises ConfigurationError, and keeps the old one, when the new one cannot be had.
    """
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert, key)
    _load(context, cert, key)


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    chain, private = _readable(cert, "the certificate"), _readable(key, "the key")
    try:
        # An empty passphrase: an encrypted key fails instead of asking at the terminal.
        context.load_cert_chain(chain, private, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(f"{key} is not the key of {cert}: give the pair") from error
        raise ConfigurationError(
            f"{cert} and {key} are no certificate and key in PEM, the key without a passphrase: "
            f"{error.reason or error}"
        ) from error


def _readable(path: Path, what: str) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ConfigurationError(
            f"{what} {path} cannot be read: {error.strerror}; give a file that this user can read"
        ) from error
