"""What is noted at a call in free form and outlives the program: see ``bridge.runtime.memory``."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Mapping


class Notes(UserDict[str, str]):
    """A dictionary of texts, short ones; who listens hears of every change.

    Keys say whose they are: ``parked``, ``music.caller``. A note with the value that it has
    already is no change.
    """

    def __init__(self, noted: Mapping[str, str] | None = None) -> None:
        self.listeners: list[Callable[[], None]] = []
        """Must not block."""
        super().__init__(noted or {})

    def __setitem__(self, key: str, text: str) -> None:
        if self.data.get(key) != text:
            self.data[key] = text
            self._changed()

    def __delitem__(self, key: str) -> None:
        del self.data[key]
        self._changed()

    def _changed(self) -> None:
        for listener in list(self.listeners):
            listener()
