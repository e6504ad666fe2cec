"""Where Asterisk is and how to sign in."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from bridge.model.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

MAX_APPLICATION_LENGTH = 73
"""Characters of an application's name (ari_websockets.h, ARI_MAX_APP_NAME_LEN)."""


@dataclass(frozen=True)
class AriSettings:
    """Address and credentials of one Asterisk, and the name that we register there.

    ``url`` is the address of the HTTP server, with or without ``/ari`` at its end, ``http`` or
    ``https``, with the path prefix of http.conf if there is one. Raises ConfigurationError.
    """

    url: str
    username: str
    password: str = field(repr=False)
    application: str = "callbridge"
    subscribe_all: bool = False
    """Get the events of all channels and bridges of the server, whoever owns them.

    For an application that only watches: one that owns channels and drops its socket so is shut
    down under them (res_stasis.c, stasis_app_unregister).
    """
    request_timeout_s: float = 5.0
    """Deadline of a request that names none."""
    heartbeat_s: float = 10.0
    """A socket that answers no ping for half of this is dropped; a ping goes out this often."""
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """For ``https`` with a certificate of one's own; None checks against the system's."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, without repeating a password that was put into the URL."""
        if not _is_web_address(self.url):
            raise ConfigurationError(
                "the ARI address must look like http://127.0.0.1:8088/ari or https://pbx.example"
            )
        parts = urlsplit(self.url)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigurationError(
                "the ARI address holds credentials or a query: give username and password apart, "
                "an address is written into logs"
            )
        if not self.username or ":" in self.username:
            raise ConfigurationError("the ARI username must not be empty and have no colon")
        length_ok = 0 < len(self.application) <= MAX_APPLICATION_LENGTH
        if not length_ok or "," in self.application:
            raise ConfigurationError(
                f"the application's name must have 1 to {MAX_APPLICATION_LENGTH} characters and "
                "no comma (a comma means several applications to Asterisk)"
            )

    @property
    def root(self) -> str:
        """Address of the HTTP server, with http.conf's prefix, without ``/ari`` and slash."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/").removesuffix("/ari").rstrip("/")
        return urlunsplit((parts.scheme, parts.netloc, path, "", ""))

    def resource_url(self, resource: str) -> str:
        """Return the address of a resource such as ``channels/c-1`` (already quoted)."""
        return f"{self.root}/ari/{resource.lstrip('/')}"

    def events_url(self) -> str:
        """Return the address of the events WebSocket, without credentials."""
        name = quote(self.application, safe="")
        everything = "true" if self.subscribe_all else "false"
        return self._websocket(f"{self.root}/ari/events?app={name}&subscribeAll={everything}")

    def media_url(self, connection_id: str) -> str:
        """Return the address of the media WebSocket with this MEDIA_WEBSOCKET_CONNECTION_ID."""
        return self._websocket(f"{self.root}/media/{quote(connection_id, safe='')}")

    def authorization(self) -> str:
        """Return the Authorization header: the only place where the password is written."""
        token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")
        return f"Basic {token}"

    @staticmethod
    def _websocket(url: str) -> str:
        return "ws" + url.removeprefix("http")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port out of range, half an IPv6 address
        return False
