"""An Asterisk that somebody else runs: its address comes from the environment."""

from __future__ import annotations

import base64
import http.client
import json
import os
from urllib.parse import urlsplit

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
    credentials are missing.
    """
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            f"{URL_VARIABLE} is {url!r}: it has to look like http://127.0.0.1:8088/ari"
        )
    username, password = (os.environ.get(name) for name in (_USERNAME_VARIABLE, _PASSWORD_VARIABLE))
    if not username or not password:
        raise ConfigurationError(
            f"{URL_VARIABLE} is set: set {_USERNAME_VARIABLE} and {_PASSWORD_VARIABLE} too"
        )
    root = url.rstrip("/").removesuffix("/ari")
    return AriInfo(f"{root}/ari", username, password)


def probe(ari: AriInfo, timeout: float = _TIMEOUT_S) -> str:
    """Return the version of the Asterisk behind an address, in its own words.

    Raises ServerUnreachableError, AuthenticationError or RequestFailedError.
    """
    parts = urlsplit(ari.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    # Not urllib: it would ask the environment for a proxy.
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    token = base64.b64encode(f"{ari.username}:{ari.password}".encode()).decode()
    resource = "asterisk/info"
    try:
        connection.request(
            "GET", f"{parts.path}/{resource}", headers={"Authorization": f"Basic {token}"}
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
