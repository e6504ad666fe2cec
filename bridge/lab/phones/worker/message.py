"""What a SIP message says, as text."""

from __future__ import annotations

import re

_FOLD = re.compile(r"\n[ \t]+")
_COMPACT = {"f": "From", "t": "To", "i": "Call-ID", "m": "Contact", "b": "Referred-By"}


def headers_of(message: str) -> tuple[tuple[str, str], ...]:
    """Return the headers of a message, in their order: names (long forms) and values."""
    head = message.replace("\r\n", "\n").partition("\n\n")[0]
    lines = (line.partition(":") for line in _FOLD.sub(" ", head).split("\n")[1:])
    named = ((name.strip(), value.strip()) for name, colon, value in lines if colon)
    return tuple((_COMPACT.get(name, name), value) for name, value in named)
