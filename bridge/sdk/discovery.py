"""Where Asterisk is: arguments, the environment, else whoever offers a running one."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from bridge.ari import AriSettings
from bridge.model.errors import ConfigurationError

ENTRY_POINTS = "callbridge.servers"
"""Group of functions that, given an instance's name, return (url, username, password) or None."""

Address = tuple[str, str, str]
Finder = Callable[[str], Address | None]

_VARIABLES = ("CALLBRIDGE_ARI_URL", "CALLBRIDGE_ARI_USERNAME", "CALLBRIDGE_ARI_PASSWORD")


def find_server(
    *,
    url: str | None,
    username: str | None,
    password: str | None,
    application: str,
    instance: str,
    tls: ssl.SSLContext | None = None,
    named: str = "ari_url, username and password of Client()",
    environment: Mapping[str, str] | None = None,
) -> AriSettings:
    """Return the settings of the server to use.

    What is given wins, then the environment (CALLBRIDGE_ARI_URL, _USERNAME, _PASSWORD), then a
    running instance of the lab. named: what the three are called where they are given. Raises
    ConfigurationError that names what is missing.
    """
    variables = os.environ if environment is None else environment
    given = [
        argument or variables.get(name)
        for argument, name in zip((url, username, password), _VARIABLES, strict=True)
    ]
    if any(given):
        missing = [name for name, value in zip(_VARIABLES, given, strict=True) if not value]
        if missing:
            raise ConfigurationError(f"{', '.join(missing)} not set: set it, or give {named}")
        address = tuple(value or "" for value in given)
    else:
        address = _running_instance(instance, named)
    return AriSettings(
        url=address[0], username=address[1], password=address[2], application=application, tls=tls
    )


def _running_instance(name: str, named: str) -> Address:
    for entry_point in entry_points(group=ENTRY_POINTS):
        finder: Finder = entry_point.load()
        if (address := finder(name)) is not None:
            return address
    raise ConfigurationError(
        f"no Asterisk: give {named}, set CALLBRIDGE_ARI_URL, CALLBRIDGE_ARI_USERNAME and "
        f"CALLBRIDGE_ARI_PASSWORD, or start one with `callbridge asterisk up --name {name}`"
    )
