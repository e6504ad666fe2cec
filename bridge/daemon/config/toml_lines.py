"""On which line of a TOML file each key stands. Pure.

``tomllib`` tells what a file says, not where; whoever reads an error about a value wants its line.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from collections.abc import Mapping
from typing import Final, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys from the top down; numbers are places in arrays: ``("auth", "oidc", 0, "issuer")``."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
_QUOTED: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of every key, table and element of an array.

    text: a document that ``tomllib`` has accepted; of any other the answer means nothing. A table
    or array that is spoken of more than once has the line of its first mention.
    """
    return _Scanner(text).scan()


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line of a key or, where it is missing, of the nearest table that should have it.

    None when nothing of it is there: the fault is that of the whole file.
    """
    for end in range(len(path), 0, -1):
        if (line := lines.get(path[:end])) is not None:
            return line
    return None


class _Scanner:
    """Walks over a document once."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line_ends = [at for at, letter in enumerate(self._text) if letter == "\n"]
        self._lines: dict[KeyPath, int] = {}
        self._elements: dict[KeyPath, int] = {}
        """How many tables each ``[[array]]`` has so far."""

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _header(self) -> KeyPath:
        at = self._at
        is_element = self._text.startswith("[[", at)
        self._at += 2 if is_element else 1
        keys = self._keys()
        self._at += 2 if is_element else 1
        path: KeyPath = ()
        for place, key in enumerate(keys, start=1):
            path = (*path, key)
            self._note(path, at)
            if is_element and place == len(keys):
                self._elements[path] = self._elements.get(path, 0) + 1
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
                self._note(path, at)
        return path

    def _pair(self, table: KeyPath) -> None:
        at = self._at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, at)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        """Read ``a."b c".d`` with the space behind it."""
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            if quoted := _QUOTED.match(self._text, self._at):
                keys.append(_unquoted(quoted[0]))
                self._at = quoted.end()
            elif bare := _BARE_KEY.match(self._text, self._at):
                keys.append(bare[0])
                self._at = bare.end()
            self._skip(_SPACE)
            if self._peek() != ".":
                return keys
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        letter = self._peek()
        if letter == "[":
            self._array(path)
        elif letter == "{":
            self._inline_table(path)
        elif quoted := _QUOTED.match(self._text, self._at):
            self._at = quoted.end()
        else:
            self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        self._skip(_BLANK)
        while self._at < len(self._text) and self._peek() != "]":
            self._note((*path, index), self._at)
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self._peek() == ",":
                self._at += 1
            self._skip(_BLANK)
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        self._skip(_BLANK)
        while self._at < len(self._text) and self._peek() != "}":
            self._pair(path)
            self._skip(_BLANK)
            if self._peek() == ",":
                self._at += 1
            self._skip(_BLANK)
        self._at += 1

    def _note(self, path: KeyPath, at: int) -> None:
        self._lines.setdefault(path, bisect.bisect_left(self._line_ends, at) + 1)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self._text, self._at):
            self._at = match.end()


def _unquoted(text: str) -> str:
    return str(tomllib.loads(f"key = {text}")["key"])
