"""The first key: an admin's of all tenants, without which no other could be made."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path
from typing import Final

from bridge.api.auth.keys import PREFIX, kept_of, new_key
from bridge.model.errors import BadArgumentError, ConfigurationError
from bridge.protocol.permissions import EVERY_TENANT, Role
from bridge.store.records import StoredKey

FILE: Final = "admin.key"
NAME: Final = "bootstrap"
_LONGEST: Final = 200


def configured_key(text: str, *, now: float, name: str = NAME) -> StoredKey:
    """Return the admin key that the configuration gives. Raises ConfigurationError."""
    try:
        return kept_of(text.strip(), name, Role.ADMIN, EVERY_TENANT, now=now)
    except BadArgumentError as error:
        raise ConfigurationError(f"the admin key of the configuration: {error}") from error


def derived_key(secret: str, name: str, *, now: float) -> tuple[StoredKey, str]:
    """Make an admin's key out of another one's text; return what is kept of it, and its own text.

    Of the same one it is the same, so that who has it needs no other when the daemon is started
    again; and it does not tell the one that it was made of.
    """
    made = hmac.new(secret.strip().encode(), name.encode(), hashlib.sha512).digest()
    own = base64.urlsafe_b64encode(made[8:40]).rstrip(b"=").decode()
    text = f"{PREFIX}_{made[:8].hex()}_{own}"
    return kept_of(text, name, Role.ADMIN, EVERY_TENANT, now=now), text


def bootstrap_key(folder: Path, *, now: float) -> StoredKey:
    """Return the admin key of a folder; the first time it is made, and written to ``admin.key``.

    folder: the daemon's private one. The file is the daemon's user's alone (0600). Raises
    ConfigurationError when it cannot be written, holds no key, or others can read it.
    """
    path = folder / FILE
    try:
        return _read(path, now)
    except FileNotFoundError:
        pass
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, text = new_key(NAME, Role.ADMIN, EVERY_TENANT, now=now)
        _write(path, text)
    except FileExistsError:
        # Another daemon of this folder was first.
        return _read(path, now)
    except OSError as error:
        raise ConfigurationError(
            f"the admin key cannot be written to {path}: {error.strerror}; "
            "give the daemon a folder of its own, or an admin key by the configuration"
        ) from error
    return key


def _write(path: Path, text: str) -> None:
    """Write it whole under another name first: nobody ever reads half a key."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(beside)
    finally:
        beside.unlink(missing_ok=True)


def _read(path: Path, now: float) -> StoredKey:
    try:
        with path.open() as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LONGEST)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the admin key {path} cannot be read: {error}") from error
    if mode & 0o077:
        raise ConfigurationError(
            f"others can read the admin key {path}: remove it, so that a new one is made, "
            "or chmod 600 it if nobody has seen it"
        )
    try:
        return kept_of(text.strip(), NAME, Role.ADMIN, EVERY_TENANT, now=now)
    except BadArgumentError as error:
        raise ConfigurationError(
            f"{path} holds no key: remove it, and a new one is made"
        ) from error
