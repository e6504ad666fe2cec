"""Ids of ARI's objects, chosen by us before a command goes out."""

from __future__ import annotations

import secrets

PREFIX = "cb-"


def new_id(kind: str) -> str:
    """Make a fresh id such as ``cb-snoop-0f3a…``: 96 random bits, so that none is ever reused.

    ``kind`` is for people who read a channel list. An id is at most 128 characters long and
    needs no quoting in a path (Asterisk refuses a longer one).
    """
    return f"{PREFIX}{kind}-{secrets.token_hex(12)}"


def is_ours(identity: str) -> bool:
    """Tell whether an id was made by ``new_id``, in this process or in an earlier one."""
    return identity.startswith(PREFIX)
