"""Parts that are not installed with every callbridge."""

from __future__ import annotations

import importlib

from bridge.model.errors import ConfigurationError


def require_lab() -> None:
    """Raise ConfigurationError, with the way out, if the laboratory is not installed."""
    try:
        for name in ("bridge.lab.asterisk", "bridge.lab.demo"):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the laboratory needs {error.name}: pip install 'callbridge[lab]'"
        ) from error


def require_server() -> None:
    """Raise ConfigurationError, with the way out, if the daemon is not installed."""
    try:
        for name in ("bridge.daemon.check", "bridge.daemon.config"):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the daemon needs {error.name}: pip install 'callbridge[server]'"
        ) from error
