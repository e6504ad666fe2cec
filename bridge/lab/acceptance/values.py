"""Values of acceptance runs that YAML has no type for."""

from __future__ import annotations

import re
from typing import Self

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "min": 60.0}


class Duration(float):
    """A length of time in seconds, written ``300ms``, ``2s``, ``1.5`` or ``1min``."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what is written. Raises ValueError that says how it is written."""
        found = _DURATION.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no length of time: write 300ms, 2s or 1min")
        return cls(float(found[1]) * _SECONDS[found[2]])

    def __str__(self) -> str:
        return f"{self * 1000:.0f} ms" if self < 1 else f"{float(self):g} s"


def decoded(kind: type[object], value: object) -> object:
    """Make what msgspec does not know. Raises ValueError for what cannot be one.

    NotImplementedError says to msgspec that no such type is known: of a field of ours, never of
    what somebody wrote.
    """
    if issubclass(kind, Duration):
        return Duration.of(str(value))
    raise NotImplementedError(kind)
