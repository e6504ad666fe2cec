"""Who takes part in a call: its parties, and the observers beside them."""

from __future__ import annotations

import re
from typing import Final, NewType

Participant = NewType("Participant", str)
"""Name of one who hears or speaks, unique within a call: a party or an observer."""

CALLER: Final = Participant("caller")
CALLEE: Final = Participant("callee")
AGENT: Final = Participant("ai")
"""The observer that a program embodies through the SDK."""

PARTIES: Final = frozenset({CALLER, CALLEE})

OVERHEARD: Final = Participant("@all")
"""All of the other observers: they hear what is said to every party."""
COACHING: Final = Participant("@coaching")
"""Those of the other observers who asked to hear what is whispered, too."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def participant(name: str) -> Participant:
    """Check a name that becomes part of object ids: lower case, digits, underscore.

    Raises ValueError when it is something else.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no participant name: use a-z, 0-9 and _, at most 32")
    return Participant(name)
