"""What a program notes at a call, short texts, and finds there again after a restart."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Final

from bridge.model.errors import BadArgumentError
from bridge.runtime.notes import Notes

_PREFIX: Final = "label."
_LONGEST: Final = 1000
_MOST: Final = 20


class Labels(MutableMapping[str, str]):
    """The labels of one call. They outlive this program, and end with the call.

    At most 20, names and texts of up to 1,000 letters: they are kept at the parties' channels.
    Raises BadArgumentError for more.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def __getitem__(self, name: str) -> str:
        return self._notes[_PREFIX + name]

    def __setitem__(self, name: str, text: str) -> None:
        if max(len(name), len(text)) > _LONGEST:
            raise BadArgumentError(f"label {name[:40]!r}: at most {_LONGEST} letters")
        if name not in self and len(self) >= _MOST:
            raise BadArgumentError(f"a call has at most {_MOST} labels: remove one first")
        self._notes[_PREFIX + name] = text

    def __delitem__(self, name: str) -> None:
        del self._notes[_PREFIX + name]

    def __iter__(self) -> Iterator[str]:
        return (key.removeprefix(_PREFIX) for key in list(self._notes) if key.startswith(_PREFIX))

    def __len__(self) -> int:
        return sum(1 for _ in self)
