"""Patterns of endpoints and numbers. Pure.

``*`` stands for any run of characters, ``?`` for one, ``[0-9]`` for one of those, and ``[*]``,
``[?]`` and ``[[]`` for themselves.
"""

from __future__ import annotations

import re
from typing import Final

from bridge.model.errors import ConfigurationError

ANYTHING: Final = "."
"""What the wildcards of a pattern that only sorts stand for."""

_CLASS: Final = re.compile(r"\[([^\]]+)\]")
_RANGE: Final = re.compile(r"(.)-(.)", re.DOTALL)


def compiled(pattern: str, *, wild: str = ANYTHING, ignore_case: bool = False) -> re.Pattern[str]:
    """Return the regular expression of a pattern, for ``fullmatch``.

    wild: the regular expression of one character that ``*`` and ``?`` stand for. Raises
    ConfigurationError.
    """
    if not pattern or not pattern.isascii() or not pattern.isprintable():
        raise ConfigurationError(f"{pattern!r} is no pattern: write one like 'PJSIP/1*'")
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        found = _CLASS.match(pattern, at)
        if found is not None:
            parts.append(_class(found[1], pattern))
            at = found.end()
            continue
        match pattern[at]:
            case "*":
                parts.append(f"{wild}*")
            case "?":
                parts.append(wild)
            case "[" | "]":
                raise ConfigurationError(
                    f"{pattern!r}: a bracket stands alone; '[[]' stands for the character"
                )
            case literal:
                parts.append(re.escape(literal))
        at += 1
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _class(inside: str, pattern: str) -> str:
    if inside[0] in "!^":
        raise ConfigurationError(f"{pattern!r}: say which characters there may be, not which not")
    for first, last in _RANGE.findall(inside):
        if first > last:
            raise ConfigurationError(f"{pattern!r}: {first}-{last} is the wrong way round")
    return "[" + re.sub(r"([\\\[\]^&~|])", r"\\\1", inside) + "]"
