"""From a file and the environment to a configuration, or to every error in them at once."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from bridge.daemon.config.base import Section, section_of
from bridge.daemon.config.sections import Configuration
from bridge.daemon.config.toml_lines import KeyPath, key_lines, line_of
from bridge.model.errors import ConfigurationError

FILE_VARIABLE: Final = "CALLBRIDGE_CONFIG"
PREFIX: Final = "CALLBRIDGE__"
PLACES: Final = (Path("callbridge.toml"), Path("/etc/callbridge/callbridge.toml"))
"""Where the file is looked for when nobody says where it is."""

_TOML_PLACE: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")
_TOML_END: Final = re.compile(r" \(at end of document\)$")
_OURS: Final = "Value error, "
_SHOWN: Final = 60
"""Characters of a value that a message shows at most."""
_WORDS: Final = {
    "missing": "missing",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text in quotes",
    "list_type": "must be a list in [ ]",
    "dict_type": "must be a table",
    "model_type": "must be a table: its keys follow [{section}] in lines of their own",
    "path_type": "must be a path in quotes",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. where: ``callbridge.toml:12``, or the name of a variable."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        """One line: where, what, and what to do."""
        return f"{self.where}: {self.key + ': ' if self.key else ''}{self.message}"


class ConfigurationFaultsError(ConfigurationError):
    """A configuration that cannot be used: all that is wrong with it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        count = "one error" if len(faults) == 1 else f"{len(faults)} errors"
        super().__init__("\n  ".join([f"the configuration has {count}:", *map(str, faults)]))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where it is from; file: None when there is none."""

    configuration: Configuration
    file: Path | None


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read the configuration.

    path: its file, else CALLBRIDGE_CONFIG, else ``callbridge.toml`` here or in /etc/callbridge,
    else there is none and all is by default. Variables such as ``CALLBRIDGE__SERVER__PORT`` stand
    above the file. Raises ConfigurationFaultsError with every error of both.
    """
    variables = os.environ if environment is None else environment
    file = _find(path, variables)
    text = "" if file is None else _read(file)
    name = "callbridge.toml" if file is None else str(file)
    return Loaded(parse(text, name, variables), file)


def parse(text: str, name: str, environment: Mapping[str, str]) -> Configuration:
    """Return what a file's text and variables say. name: the file's, for errors.

    Raises ConfigurationFaultsError with every error of both.
    """
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationFaultsError((_syntax(text, name, error),)) from None
    lines = key_lines(text)
    variables: dict[KeyPath, str] = {}
    faults = list(_overlay(values, environment, variables))
    places = _Places(name, lines, variables)
    faults += [places.at(path, message) for path, message in _across(values)]
    try:
        configuration = Configuration.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=True, include_context=True)
        faults += map(places.fault, details)
    else:
        if not faults:
            return configuration
    faults.sort(key=lambda fault: _order(fault.where))
    raise ConfigurationFaultsError(tuple(dict.fromkeys(faults)))


def _find(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if named := environment.get(FILE_VARIABLE):
        return Path(named)
    return next((place for place in PLACES if _is_there(place)), None)


def _is_there(place: Path) -> bool:
    try:
        return place.is_file()
    except PermissionError:
        # Of a folder that somebody happens to be in (`sudo -u`) nothing is expected; of /etc the
        # reason is told when it is read.
        return place.is_absolute()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"the configuration {file} cannot be read: {reason}; "
            "`callbridge serve --example-config` prints one to begin with"
        ) from error


def _syntax(text: str, name: str, error: tomllib.TOMLDecodeError) -> Fault:
    message = str(error)
    place = _TOML_PLACE.search(message)
    line = place[1] if place else str(text.count("\n") + 1)
    said = _TOML_END.sub("", _TOML_PLACE.sub("", message))
    return Fault(f"{name}:{line}", "", f"this is not TOML: {said}")


def _overlay(
    values: dict[str, Any], environment: Mapping[str, str], variables: dict[KeyPath, str]
) -> Iterator[Fault]:
    """Put variables over what the file says; note which value is of which."""
    for name in sorted(environment):
        if not name.startswith(PREFIX):
            continue
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        text = environment[name]
        try:
            value = tomllib.loads(f"x = {text}")["x"] if text[:1] in {"[", "{"} else text
        except tomllib.TOMLDecodeError as error:
            yield Fault(name, "", f"this is no TOML value: {error}")
            continue
        table = values
        for key in path[:-1]:
            below = table.setdefault(key, {})
            if not isinstance(below, dict):
                break
            table = below
        else:
            table[path[-1]] = value
        for end in range(1, len(path) + 1):
            variables.setdefault(path[:end], name)


def _across(values: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Tell what is wrong in each section beyond the types of its keys."""
    yield from _faults(Configuration, values, ())


def _faults(
    section: type[BaseModel], written: Mapping[str, Any], path: KeyPath
) -> Iterator[tuple[KeyPath, str]]:
    if issubclass(section, Section):
        for key, message in section.faults(written):
            yield ((*path, key) if key else path), message
    for name, field in section.model_fields.items():
        inner, value = section_of(field.annotation), written.get(name)
        if inner is None:
            continue
        if isinstance(value, dict):
            yield from _faults(inner, value, (*path, name))
        elif isinstance(value, list):
            for index, element in enumerate(value):
                if isinstance(element, dict):
                    yield from _faults(inner, element, (*path, name, index))


class _Places:
    """Says where a fault is, and words it."""

    def __init__(
        self, name: str, lines: Mapping[KeyPath, int], variables: Mapping[KeyPath, str]
    ) -> None:
        self._name = name
        self._lines = lines
        self._variables = variables

    def fault(self, detail: ErrorDetails) -> Fault:
        path, model = _through_models(detail["loc"])
        return self.at(path, _message(detail, path, model))

    def at(self, path: KeyPath, message: str) -> Fault:
        key = ".".join(str(part) if isinstance(part, str) else f"{part + 1}" for part in path)
        return Fault(self._where(path), key, message)

    def _where(self, path: KeyPath) -> str:
        for end in range(len(path), 0, -1):
            # Of a table that has keys from both, the file's line tells more.
            exact = end == len(path) or path[:end] not in self._lines
            if exact and (name := self._variables.get(path[:end])) is not None:
                return name
            if (line := self._lines.get(path[:end])) is not None:
                return f"{self._name}:{line}"
        line = line_of(self._lines, path)
        return self._name if line is None else f"{self._name}:{line}"


def _through_models(loc: tuple[int | str, ...]) -> tuple[KeyPath, type[BaseModel] | None]:
    """Return the path of keys, and the section that its last key is to be one of.

    pydantic names the members of unions in its places, too: they are no keys.
    """
    path: list[int | str] = []
    model: type[BaseModel] | None = None
    inside: type[BaseModel] | None = Configuration
    for part in loc:
        if isinstance(part, str):
            if inside is None and model is not None and not _is_table(model, path):
                continue  # the name of a member of a union
            model = inside or model
            field = None if inside is None else inside.model_fields.get(part)
            inside = None if field is None else section_of(field.annotation)
        path.append(part)
    return tuple(path), model


def _is_table(model: type[BaseModel], path: Sequence[int | str]) -> bool:
    """Tell whether the last key is a table of whatever keys."""
    names = [part for part in path if isinstance(part, str)]
    field = model.model_fields.get(names[-1]) if names else None
    return field is not None and get_origin(field.annotation) is dict


def _message(detail: ErrorDetails, path: KeyPath, model: type[BaseModel] | None) -> str:
    kind = detail["type"]
    given = "" if _is_secret(path, model) else f", not {_shown(detail['input'])}"
    if kind == "extra_forbidden":
        known = [] if model is None else list(model.model_fields)
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        what = "section" if len(path) == 1 else "key"
        meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
        return f"there is no such {what}; {meant}"
    if kind == "value_error":
        return detail["msg"].removeprefix(_OURS)
    if kind == "literal_error":
        return f"must be {detail['ctx']['expected']}{given}"
    if kind in _WORDS:
        words = _WORDS[kind].format(section=".".join(map(str, path)))
        return words if kind == "missing" else f"{words}{given}"
    said = detail["msg"].replace("Input should be", "must be")
    return f"{said[:1].lower()}{said[1:]}{given}"


def _is_secret(path: KeyPath, model: type[BaseModel] | None) -> bool:
    names = [part for part in path if isinstance(part, str)]
    field = None if model is None or not names else model.model_fields.get(names[-1])
    return field is not None and SecretStr.__name__ in repr(field.annotation)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _order(where: str) -> tuple[str, int]:
    name, _, line = where.rpartition(":")
    return (name, int(line)) if line.isdigit() else (where, 0)
