"""OpenAPI 3.1, made of the one table of operations."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec


def openapi_document() -> dict[str, Any]:
    """Return the document."""
    return {"openapi": "3.1.0"}


@lru_cache(maxsize=1)
def encoded_document() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.format(msgspec.json.encode(openapi_document()))
