"""Where the daemon is: arguments, else the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.model.errors import ConfigurationError

URL_VARIABLE: Final = "CALLBRIDGE_URL"
KEY_VARIABLE: Final = "CALLBRIDGE_KEY"

_URL: Final = re.compile(r"https?://[^\s/?#]+")


@dataclass(frozen=True, slots=True)
class DaemonAddress:
    """A daemon, and who asks. url: without a slash at its end."""

    url: str
    key: str = field(repr=False)


def is_remote(
    *, url: str | None, ari_url: str | None, environment: Mapping[str, str] | None = None
) -> bool:
    """Tell whether a daemon is meant: by ``url``, or by the environment unless ARI is named."""
    variables = os.environ if environment is None else environment
    return bool(url) or (ari_url is None and bool(variables.get(URL_VARIABLE)))


def find_daemon(
    *, url: str | None, key: str | None, environment: Mapping[str, str] | None = None
) -> DaemonAddress:
    """Return the daemon to use. Raises ConfigurationError that names what is missing or wrong."""
    variables = os.environ if environment is None else environment
    address = (url or variables.get(URL_VARIABLE, "")).rstrip("/")
    secret = key or variables.get(KEY_VARIABLE, "")
    if not _URL.fullmatch(address):
        raise ConfigurationError(
            f"{address!r} is no address of a daemon: one like http://127.0.0.1:8100 is, "
            f"as url= or in {URL_VARIABLE}"
        )
    if not secret:
        raise ConfigurationError(
            f"no key for {address}: give it to Client() as key=, or set {KEY_VARIABLE}"
        )
    return DaemonAddress(address, secret)


def in_process(**given: object) -> None:
    """Raise ConfigurationError for what only a client by URL has. given: by argument."""
    for name, value in given.items():
        if value is not None:
            raise ConfigurationError(
                f"{name} is for a daemon: give its address as url=, or set {URL_VARIABLE}, and do "
                "not give ari_url"
            )
