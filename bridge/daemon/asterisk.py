"""Which Asterisk the configuration means."""

from __future__ import annotations

import os
import ssl

from bridge.ari import AriSettings
from bridge.daemon.config import Configuration
from bridge.model.errors import ConfigurationError
from bridge.sdk.discovery import find_server

LAB_EXTENSION = "100@phones"
"""What the dialplan of the laboratory's Asterisk hands over."""


def ari_settings(configuration: Configuration) -> AriSettings:
    """Return address and credentials: as configured, else by the environment, else the lab's.

    Raises ConfigurationError when no Asterisk is known, or its certificate cannot be checked.
    """
    asterisk = configuration.asterisk
    return find_server(
        url=asterisk.url,
        username=asterisk.username,
        password=None if asterisk.password is None else asterisk.password.get_secret_value(),
        application=asterisk.application,
        instance=asterisk.instance,
        tls=client_tls(configuration),
        named="asterisk.url, asterisk.username and asterisk.password",
    )


def is_lab(configuration: Configuration) -> bool:
    """Tell whether nobody names an Asterisk, so that the laboratory's is used."""
    return not (configuration.asterisk.url or os.environ.get("CALLBRIDGE_ARI_URL"))


def client_tls(configuration: Configuration) -> ssl.SSLContext | None:
    """Return what Asterisk's certificate is checked by; None: by the system's."""
    path = configuration.asterisk.tls_ca
    if path is None:
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"asterisk.tls_ca: {path} holds no certificate in PEM: {error}"
        ) from error
