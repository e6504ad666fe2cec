"""Ids of ARI's objects that tests make by themselves."""

from __future__ import annotations

import secrets


def new_id(kind: str) -> str:
    """Make a fresh id such as ``test-snoop-0f3a…``; ``kind`` is for people who read a list."""
    return f"test-{kind}-{secrets.token_hex(12)}"
