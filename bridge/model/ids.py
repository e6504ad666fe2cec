"""Ids that go through all layers."""

from __future__ import annotations

from typing import NewType

CallId = NewType("CallId", str)
"""Names a call for its whole life: 12 hexadecimal digits."""
