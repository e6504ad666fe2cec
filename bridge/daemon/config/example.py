"""A configuration to begin with: every key, what it is for, and its default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bridge.daemon.config.base import Section, section_of
from bridge.daemon.config.sections import Configuration

_HEAD = """\
# callbridge: configuration of the daemon (`callbridge serve`).
#
# Every key is shown with its default; those without one stand behind a # with an example.
# Each may be given in the environment instead: CALLBRIDGE__SERVER__PORT=8100.
# Looked for at --config, CALLBRIDGE_CONFIG, ./callbridge.toml, /etc/callbridge/callbridge.toml.
# `callbridge check` tests what it says.
"""


def example_config() -> str:
    """Return a commented file that is valid and says what holds without it."""
    sections = (
        "\n".join(_section(name, field.annotation))
        for name, field in Configuration.model_fields.items()
    )
    return _HEAD + "\n" + "\n\n".join(sections) + "\n"


def _section(
    name: str, kind: object, *, commented: bool = False, array: bool = False
) -> Iterator[str]:
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        raise TypeError(f"{name} is no section")
    mark = "# " if commented else ""
    yield from (f"# {line}" for line in _first_line(kind))
    yield f"{mark}[[{name}]]" if array else f"{mark}[{name}]"
    inner: list[tuple[str, type[Section], bool]] = []
    for key, field in kind.model_fields.items():
        if (element := section_of(field.annotation)) is not None:
            inner.append((f"{name}.{key}", element, get_origin(field.annotation) is list))
            continue
        yield from (f"# {line}" for line in (field.description or "").splitlines())
        yield from _lines(key, field, mark)
    for path, element, array_of in inner:
        yield ""
        yield from _section(path, element, commented=True, array=array_of)


def _lines(key: str, field: FieldInfo, mark: str) -> Iterator[str]:
    default = field.get_default(call_default_factory=True)
    if default is not None and default is not PydanticUndefined:
        yield f"{mark}{key} = {toml_value(default)}"
    if field.examples:
        yield f"# {key} = {toml_value(field.examples[0])}"


def _first_line(kind: type[BaseModel]) -> list[str]:
    return (kind.__doc__ or "").strip().splitlines()[:1]


def toml_value(value: object) -> str:
    """Return a value as TOML writes it. Raises TypeError."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False)
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case dict():
            pairs = ", ".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case _:
            raise TypeError(f"{value!r} is nothing that TOML has")
