"""What can be written in a run, from the types that read it; and the lab's own runs."""

from __future__ import annotations

import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec

from bridge.lab.acceptance.model import Head, Hearing, PhoneSpec, Program, Server
from bridge.lab.acceptance.steps import Together
from bridge.lab.acceptance.values import Duration
from bridge.lab.acceptance.verbs import TOGETHER, VERBS

_SCENARIOS: Final = Path(__file__).parents[1] / "scenarios"
_PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "server": Server,
    "program": Program,
    "hearing": Hearing,
    "phone": PhoneSpec,
}
_NAMES: Final = {
    str: "text",
    float: "number",
    Duration: "time",
    bool: "true | false",
    PhoneSpec: "phone",
}
_HEAD: Final = """\
A run is YAML: name, phones and steps; see a scenario. A step is a mapping of one verb to what it is
about, or to the value marked with *, if that is all. Beside the verb there may be: name; within,
how long it may take (500ms, 2s, 1min); lasts, how long what is expected has to hold.
"""


def scenarios() -> dict[str, Path]:
    """Return the lab's own runs, by name."""
    return {path.stem: path for path in sorted(_SCENARIOS.glob("*.yaml"))}


def reference() -> str:
    """Return what can be written in a run, for people."""
    parts = [_HEAD, *_fields_of("the run", Head), ""]
    for name, part in _PARTS.items():
        parts += [*_fields_of(name, part), ""]
    for verb, kind in VERBS.items():
        parts += [*_fields_of(verb, kind), ""]
    parts += [f"{TOGETHER}: {_said(Together)}", "    [step or [step, ...], ...]", ""]
    return "\n".join(parts)


def _fields_of(name: str, kind: type[msgspec.Struct]) -> Iterator[str]:
    yield f"{name}: {_said(kind)}"
    short = getattr(kind, "SHORT", None)
    for one in msgspec.structs.fields(kind):
        mark = "*" if one.name == short else " "
        default = "" if one.required else f" = {_default(one)}"
        yield f"  {mark} {one.encode_name}: {_shown(one.type)}{default}"


def _said(kind: type[msgspec.Struct]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _default(one: msgspec.structs.FieldInfo) -> str:
    if one.default is msgspec.NODEFAULT:
        return "..."
    if one.default is None or one.default in ((), ""):
        return "none"
    return "..." if isinstance(one.default, msgspec.Struct) else str(one.default)


def _shown(kind: Any) -> str:  # noqa: ANN401 - any type that a field may have
    """Return a type as it is written in YAML."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        return f"[{_shown(arguments[0])}, ...]"
    if origin is dict:
        return f"{{name: {_shown(arguments[1])}}}"
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in {Union, types.UnionType}:
        return " | ".join(_shown(one) for one in arguments if one is not types.NoneType)
    if issubclass(kind, Enum):
        return " | ".join(one.value for one in kind)
    return _NAMES.get(kind, str(kind.__name__).lower())
