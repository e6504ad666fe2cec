"""Secrets of the configuration: written down, in a file, or in the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, SecretStr

_FILE: Final = "file:"
_ENVIRONMENT: Final = "env:"


def resolved(value: object) -> object:
    """Return the secret that ``file:/path`` or ``env:NAME`` stands for; else what was given.

    Of a file, the end of its last line is left out. Raises ValueError that names what is missing,
    never the secret.
    """
    if not isinstance(value, str):
        return value
    if value.startswith(_FILE):
        path = Path(value.removeprefix(_FILE))
        try:
            secret = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ValueError(f"{path} cannot be read: {reason}") from None
        if not secret:
            raise ValueError(f"{path} is empty")
        return secret
    if value.startswith(_ENVIRONMENT):
        name = value.removeprefix(_ENVIRONMENT)
        if not (secret := os.environ.get(name, "")):
            raise ValueError(f"{name} is not set in the environment")
        return secret
    return value


Secret: TypeAlias = Annotated[SecretStr, BeforeValidator(resolved)]
"""Never shown: neither in a log nor in an error."""
