"""Where things are kept: the cache of packages, the state of instances, our templates."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import platformdirs

from bridge.model.errors import ConfigurationError

_SOCKET_PATH_LIMIT = 107
"""Bytes in the path of a Unix socket, unix(7)."""
_SOCKET_NAME = "asterisk.ctl"


def cache_root() -> Path:
    """Return the folder for what can be fetched again; CALLBRIDGE_CACHE_DIR overrides it.

    Raises ConfigurationError if Asterisk cannot be told of such a path.
    """
    return _root("CALLBRIDGE_CACHE_DIR", platformdirs.user_cache_dir("callbridge"))


def state_root() -> Path:
    """Return the folder for running instances; CALLBRIDGE_STATE_DIR overrides it.

    Raises ConfigurationError if Asterisk cannot be told of such a path.
    """
    return _root("CALLBRIDGE_STATE_DIR", platformdirs.user_state_dir("callbridge"))


def _root(variable: str, usual: str) -> Path:
    root = Path(os.environ.get(variable) or usual).absolute()
    if any(character.isspace() or character in ";[]:" for character in str(root)):
        raise ConfigurationError(
            f"Asterisk cannot be configured with a path like {str(root)!r}: "
            f"point {variable} to a folder without spaces, colons, semicolons and brackets"
        )
    return root


def templates() -> Path:
    """Return the folder of the configuration's templates, installed or in the repository."""
    installed = Path(__file__).parent.parent / "asterisk-conf"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "asterisk-conf"


def run_dir(state_dir: Path) -> Path:
    """Return the folder for the control socket: inside the state if the path is short enough."""
    inside = state_dir / "run"
    if len(os.fsencode(inside / _SOCKET_NAME)) <= _SOCKET_PATH_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"callbridge-{os.getuid()}-{digest}"
