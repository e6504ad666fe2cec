"""YAML read into types, with every mistake at once and the line that it is in."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import yaml

from bridge.lab.acceptance.values import decoded

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_NULL: Final = "tag:yaml.org,2002:null"
_PATH = re.compile(r" - at `\$.*`$")


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """What is wrong with a document, and where: lines are counted from 1."""

    line: int
    message: str


class Missing:
    """The place of a value that could not be read; the mistake has been noted."""


MISSING: Final = Missing()


def composed(text: str) -> yaml.Node | Mistake:
    """Return the document's root, or what is wrong with its syntax."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        return Mistake(1 if mark is None else mark.line + 1, f"no YAML: {error.problem}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return Mistake(line, f"no YAML: {error.reason}: {chr(error.character)!r}")
    return Mistake(1, "nothing is written here") if root is None else root


def line_of(node: yaml.Node) -> int:
    """Return where a node begins, from 1."""
    return int(node.start_mark.line) + 1


def pairs(node: yaml.MappingNode) -> list[tuple[str, yaml.Node, yaml.Node]]:
    """Return the name, the key and the value of every entry of a mapping."""
    return [(str(key.value), key, value) for key, value in node.value]


def closest(name: str, known: list[str]) -> str:
    """Return what may have been meant, as the end of a message."""
    near = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


class Reader:
    """Reads nodes into structs field by field, so that one mistake does not hide the next.

    environment: what ``${NAME}`` stands for. A struct with a class variable ``SHORT`` may be
    written as the value of that field alone.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.mistakes: list[Mistake] = []
        self._environment = os.environ if environment is None else environment

    def note(self, node: yaml.Node, message: str) -> Missing:
        """Remember a mistake."""
        self.mistakes.append(Mistake(line_of(node), message))
        return MISSING

    def read(self, node: yaml.Node, kind: object, what: str) -> object:
        """Return the node as ``kind``, or MISSING. what: its name in messages."""
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(node, kind, what)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in {Union, UnionType} and type(None) in arguments:
            if node.tag == _NULL:
                return None
            rest = [one for one in arguments if one is not type(None)]
            if len(rest) == 1:
                return self.read(node, rest[0], what)
        if origin is tuple:
            return self._tuple(node, arguments[0], what)
        if origin is dict:
            return self._dict(node, arguments[1], what)
        return self._leaf(node, kind, what)

    def struct(self, node: yaml.Node, kind: type[msgspec.Struct], what: str) -> object:
        """Return the node as a struct, or MISSING."""
        short = getattr(kind, "SHORT", None)
        if not isinstance(node, yaml.MappingNode):
            if short is None:
                return self.note(node, f"{what}: a mapping of {', '.join(_fields(kind))}")
            node = _mapping_of(short, node)
        before = len(self.mistakes)
        fields = _fields(kind)
        hints = get_type_hints(kind, include_extras=True)
        values: dict[str, Any] = {}
        for name, key, value in pairs(node):
            if name not in fields:
                self.note(key, f"{what} has no {name}{closest(name, list(fields))}")
            elif fields[name].name in values:
                self.note(key, f"{what}: {name} is there twice")
            else:
                place = fields[name].name
                values[place] = self.read(value, hints[place], f"{what}: {name}")
        for name, one in fields.items():
            if one.required and one.name not in values:
                self.note(node, f"{what} needs {name}")
        if len(self.mistakes) > before:
            return MISSING
        try:
            return kind(**values)
        except ValueError as error:
            return self.note(node, f"{what}: {error}")

    def _tuple(self, node: yaml.Node, kind: object, what: str) -> object:
        """Return a sequence, or one value as a sequence of it."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        values = [self.read(one, kind, what) for one in nodes]
        return MISSING if MISSING in values else tuple(values)

    def _dict(self, node: yaml.Node, kind: object, what: str) -> object:
        if not isinstance(node, yaml.MappingNode):
            return self.note(node, f"{what}: a mapping of names to values")
        values: dict[str, Any] = {}
        for name, key, value in pairs(node):
            if name in values:
                self.note(key, f"{what}: {name} is there twice")
            values[name] = self.read(value, kind, f"{what}: {name}")
        return MISSING if MISSING in values.values() else values

    def _leaf(self, node: yaml.Node, kind: object, what: str) -> object:
        if not isinstance(node, yaml.ScalarNode):
            return self.note(node, f"{what}: one value, not several")
        # As it is written: 0123 is a number to dial, not an octal one.
        text = self._filled(node, str(node.value))
        if text is None:
            return MISSING
        try:
            return msgspec.convert(text, cast("Any", kind), strict=False, dec_hook=decoded)
        except msgspec.ValidationError as error:
            return self.note(node, f"{what}: {_PATH.sub('', str(error))}")

    def _filled(self, node: yaml.Node, text: str) -> str | None:
        """Put the environment's values in; None when one is missing, which has been noted."""
        missing = [
            name
            for name, default in _VARIABLE.findall(text)
            if name not in self._environment and f"${{{name}:-{default}}}" not in text
        ]
        for name in missing:
            self.note(node, f"the environment has no {name}: set it, or write ${{{name}:-default}}")
        if missing:
            return None
        return _VARIABLE.sub(lambda found: self._environment.get(found[1], found[2] or ""), text)


def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Return the fields of a struct by the names that they are written with."""
    return {one.encode_name: one for one in msgspec.structs.fields(kind)}


def _mapping_of(name: str, node: yaml.Node) -> yaml.MappingNode:
    key = yaml.ScalarNode("tag:yaml.org,2002:str", name, node.start_mark, node.end_mark)
    return yaml.MappingNode("tag:yaml.org,2002:map", [(key, node)], node.start_mark, node.end_mark)
