"""An Asterisk that somebody else runs: its address comes from the environment."""

from __future__ import annotations

import http.client
import json
import os
from urllib.parse import urlsplit

from bridge.ari.settings import AriSettings
from bridge.lab.asterisk.info import AriInfo
from bridge.model.errors import (
    AuthenticationError,
    ConfigurationError,
    RequestFailedError,
    ServerUnreachableError,
)

URL_VARIABLE = "CALLBRIDGE_ARI_URL"
_USERNAME_VARIABLE = "CALLBRIDGE_ARI_USERNAME"
_PASSWORD_VARIABLE = "CALLBRIDGE_ARI_PASSWORD"  # noqa: S105 - the name of a variable
_TIMEOUT_S = 5.0


def external_ari() -> AriInfo | None:
    """Return the ARI that the user's environment names, None if it names none.

    The address may end in ``/ari`` or not. Raises ConfigurationError if it makes no sense or the
    credentials are missing; it does not repeat the address, which may hold a password.
    """
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return None
    username, password = (os.environ.get(name) for name in (_USERNAME_VARIABLE, _PASSWORD_VARIABLE))
    if not username or not password:
        raise ConfigurationError(
            f"{URL_VARIABLE} is set: set {_USERNAME_VARIABLE} and {_PASSWORD_VARIABLE} too"
        )
    try:
        settings = AriSettings(url, username, password)
    except ConfigurationError as error:
        raise ConfigurationError(f"{URL_VARIABLE}: {error.error_message}") from error
    return AriInfo(f"{settings.root}/ari", username, password)


def probe(ari: AriInfo, timeout: float = _TIMEOUT_S) -> str:
    """Return the version of the Asterisk behind an address, in its own words.

    Raises ServerUnreachableError, AuthenticationError or RequestFailedError.
    """
    parts = urlsplit(ari.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    # Not urllib: it would ask the environment for a proxy.
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    credentials = AriSettings(ari.url, ari.username, ari.password).authorization()
    resource = "asterisk/info"
    try:
        connection.request(
            "GET", f"{parts.path}/{resource}", headers={"Authorization": credentials}
        )
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerUnreachableError(f"no ARI answers at {ari.url}: {error!r}") from error
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.UNAUTHORIZED:
        raise AuthenticationError(f"{ari.url} refuses the username and password")
    try:
        return str(json.loads(body)["system"]["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise RequestFailedError(
            status=answer.status, method="GET", resource=resource, reason=answer.reason
        ) from error
