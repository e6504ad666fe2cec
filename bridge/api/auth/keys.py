"""API keys: ``cbk_<id>_<secret>``.

The secret is 256 bits of the system's randomness, so that nobody finds it by its SHA-256. A slow
hash (bcrypt, Argon2) protects passwords, which people choose from few; here it would only cost
every request tens of milliseconds of the loop that carries the calls' audio.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from typing import Final

from bridge.model.errors import BadArgumentError
from bridge.protocol.permissions import Role
from bridge.store.records import StoredKey

PREFIX: Final = "cbk"
_ID_BYTES: Final = 8
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(r"cbk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOTHING: Final = hashlib.sha256(b"").hexdigest()


def new_key(
    name: str,
    role: Role,
    tenant: str,
    *,
    queues: Collection[str] = (),
    now: float,
    expires_at: float | None = None,
) -> tuple[StoredKey, str]:
    """Make a key; return what is kept of it, and the key itself, which is not.

    now, expires_at: seconds since 1970.
    """
    key_id = secrets.token_hex(_ID_BYTES)
    text = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return kept_of(text, name, role, tenant, queues=queues, now=now, expires_at=expires_at), text


def kept_of(
    text: str,
    name: str,
    role: Role,
    tenant: str,
    *,
    queues: Collection[str] = (),
    now: float,
    expires_at: float | None = None,
) -> StoredKey:
    """Return what is kept of a key that somebody has. Raises BadArgumentError if it is none."""
    parts = split(text)
    if parts is None:
        raise BadArgumentError(
            "this is no key: one is made by 'callbridge keys generate' and begins with cbk_"
        )
    return StoredKey(
        key_id=parts[0],
        name=name,
        role=role.value,
        tenant=tenant,
        queues=tuple(sorted(queues)),
        created_at=now,
        expires_at=expires_at,
        digest=digest(parts[1]),
    )


def split(text: str) -> tuple[str, str] | None:
    """Return id and secret of a key, None for what is no key."""
    found = _KEY.fullmatch(text)
    return None if found is None else (found[1], found[2])


def digest(secret: str) -> str:
    """Return what is kept of a secret: SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret_of(key: StoredKey | None, secret: str) -> bool:
    """Tell whether a secret is a key's, in a time that says nothing about either."""
    expected = _NOTHING if key is None else key.digest
    return hmac.compare_digest(digest(secret), expected) and key is not None
