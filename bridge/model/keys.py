"""What the keys of a supervisor's phone mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from bridge.model.errors import BadArgumentError

DIGITS: Final = "0123456789*#ABCD"
"""Every key that DTMF knows (RFC 4733, section 3.2)."""


class KeyAction(StrEnum):
    """What a supervisor asks for with a key."""

    SPY = "spy"
    """Be heard by nobody."""
    WHISPER = "whisper"
    """Be heard by the whispered-to parties alone."""
    BARGE = "barge"
    """Be heard by every party."""
    NEXT = "next"
    """Go on to the next live call."""
    LEAVE = "leave"
    """Stop observing: the seat is hung up."""
    TAKE_OVER = "take_over"
    """Talk in the agent's place."""
    GIVE_BACK = "give_back"
    """Let the agent talk again."""


_DEFAULT: Final = MappingProxyType(
    {
        "4": KeyAction.SPY,
        "5": KeyAction.WHISPER,
        "6": KeyAction.BARGE,
        "*": KeyAction.NEXT,
        "#": KeyAction.LEAVE,
    }
)
"""4, 5 and 6 are the habit from ChanSpy (app_chanspy.c, option d)."""


_HEARD: Final = frozenset({KeyAction.WHISPER, KeyAction.BARGE, KeyAction.TAKE_OVER})


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What the keys of one supervisor may not do, whatever the map says.

    heard: whether he may let himself be heard. reaches: tells of a call, by its id, whether he may
    go to it. note: a text that is kept with him in Asterisk, of which the next program makes his
    limits again.
    """

    heard: bool
    reaches: Callable[[str], bool]
    note: str = ""

    @classmethod
    def strictest(cls, note: str) -> KeyLimits:
        """Return those of whom nothing is known but that he has some: hear, and leave."""
        return cls(heard=False, reaches=lambda _call_id: False, note=note)

    def allow(self, action: KeyAction) -> bool:
        """Tell whether he may do that at all."""
        return self.heard or action not in _HEARD


@dataclass(frozen=True, slots=True)
class KeyMap:
    """Which key asks for what; an action may have several keys. Keys that are not in it do nothing.

    ``KeyMap()`` is the default map; ``KeyMap.of(mapping)`` checks one of your own.
    """

    actions: Mapping[str, KeyAction] = field(default_factory=lambda: _DEFAULT)

    @classmethod
    def of(cls, mapping: Mapping[str, KeyAction | str]) -> KeyMap:
        """Return the map of ``{key: action}``, actions by themselves or by name; {}: keys are off.

        Raises BadArgumentError, naming what is wrong, for a key that no phone has, for one that is
        named twice (``a`` and ``A``), and for an unknown action.
        """
        actions: dict[str, KeyAction] = {}
        for written, name in mapping.items():
            key = written.upper()
            if len(key) != 1 or key not in DIGITS:
                raise BadArgumentError(f"{written!r} is no key: use one of 0-9 * # A-D")
            if key in actions:
                raise BadArgumentError(f"the key {key} is named twice: name it once")
            if name not in set(KeyAction):
                known = ", ".join(action.value for action in KeyAction)
                raise BadArgumentError(f"key {key}: {name!r} is no action: use one of {known}")
            actions[key] = KeyAction(name)
        return cls(MappingProxyType(actions))

    def __getitem__(self, digit: str) -> KeyAction | None:
        """Return what a key asks for, None when nothing. digit: as Asterisk reports it."""
        return self.actions.get(digit.upper())
