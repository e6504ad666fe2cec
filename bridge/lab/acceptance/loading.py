"""A file read into a run, or every mistake in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from bridge.lab.acceptance.checking import mistakes_of
from bridge.lab.acceptance.document import (
    MISSING,
    Missing,
    Mistake,
    Reader,
    closest,
    composed,
    line_of,
    pairs,
)
from bridge.lab.acceptance.model import Head, Program, Run, Step
from bridge.lab.acceptance.steps import Action, Hears, Together
from bridge.lab.acceptance.values import Duration
from bridge.lab.acceptance.verbs import TOGETHER, VERBS
from bridge.model.errors import ConfigurationError

_OPTIONS: Final = {"name": str, "within": Duration, "lasts": Duration}
_STEPS: Final = "steps"


class MistakesError(ConfigurationError):
    """A run that cannot be made as it is written; ``mistakes`` are all there are."""

    def __init__(self, path: str, mistakes: Collection[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(f"{path}:{one.line}: {one.message}" for one in self.mistakes))


def load(path: Path, environment: Mapping[str, str] | None = None) -> Run:
    """Return the run of a file. Raises MistakesError; ConfigurationError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"{path} cannot be read: {reason}; `callbridge run --steps` has the scenarios' names"
        ) from error
    return msgspec.structs.replace(parse(text, str(path), environment), path=path)


def parse(text: str, path: str = "run", environment: Mapping[str, str] | None = None) -> Run:
    """Return the run that a text describes. Raises MistakesError."""
    try:
        return _parsed(text, path, environment)
    except RecursionError:
        # An anchor may be used within itself.
        raise MistakesError(path, [Mistake(1, "nested too deeply, or within itself")]) from None


def _parsed(text: str, path: str, environment: Mapping[str, str] | None) -> Run:
    root = composed(text)
    if isinstance(root, Mistake):
        raise MistakesError(path, [root])
    reader = Reader(environment)
    if not isinstance(root, yaml.MappingNode):
        reader.note(root, "a run is a mapping of name, phones and steps")
        raise MistakesError(path, reader.mistakes)
    entries: dict[str, yaml.Node] = {}
    for name, key, value in pairs(root):
        if name == _STEPS and name in entries:
            reader.note(key, f"the run: {name} is there twice")
        entries[name] = value
    steps = _steps(reader, entries.get(_STEPS))
    head = _head(reader, root)
    if head is None:
        raise MistakesError(path, reader.mistakes)
    if head.server is not None and head.server.callbridge and head.program != Program():
        what = "program: that is for the configuration of the daemon that server.callbridge names"
        reader.note(entries["program"], what)
    if head.leaves_nothing and head.server is not None and not head.server.ari:
        what = "leaves_nothing: only server.ari can be asked what is left, and none is given"
        reader.note(entries["leaves_nothing"], what)
    run = Run(steps=steps, **msgspec.structs.asdict(head))
    reader.mistakes += mistakes_of(run, _lines(entries.get("phones")))
    if reader.mistakes:
        raise MistakesError(path, reader.mistakes)
    return run


def _lines(node: yaml.Node | None) -> dict[str, int]:
    """Return where each entry of a mapping is."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {name: line_of(key) for name, key, _ in pairs(node)}


def _head(reader: Reader, root: yaml.MappingNode) -> Head | None:
    """Read all but the steps, which are no plain values; None when that cannot be."""
    rest = [(key, value) for key, value in root.value if key.value != _STEPS]
    node = yaml.MappingNode(root.tag, rest, root.start_mark, root.end_mark)
    found = reader.struct(node, Head, "the run")
    return found if isinstance(found, Head) else None


def _steps(reader: Reader, node: yaml.Node | None) -> tuple[Step, ...]:
    if node is None:
        reader.mistakes.append(Mistake(1, "the run needs steps"))
        return ()
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        reader.note(node, "steps: a sequence of what is done and expected")
        return ()
    found = (_step(reader, one) for one in node.value)
    return tuple(step for step in found if step is not None)


def _step(reader: Reader, node: yaml.Node) -> Step | None:
    """Read one step: a mapping of one verb, and options beside it."""
    if not isinstance(node, yaml.MappingNode):
        reader.note(node, "a step is a mapping of a verb, such as place, to what it is about")
        return None
    verbs = [entry for entry in pairs(node) if entry[0] not in _OPTIONS]
    if len(verbs) != 1:
        names = ", ".join(name for name, _, _ in verbs) or "none"
        reader.note(node, f"a step has one verb, this one has {names}")
        return None
    options: dict[str, Any] = {}
    for name, key, value in pairs(node):
        if name in options:
            reader.note(key, f"{name} is there twice")
        elif name in _OPTIONS:
            options[name] = reader.read(value, _OPTIONS[name], name)
    name, key, value = verbs[0]
    do = _action(reader, name, key, value)
    if isinstance(do, Action):
        _judge_options(reader, node, name, do, options)
    if isinstance(do, Missing) or MISSING in options.values():
        return None
    return Step(do=do, verb=name, line=line_of(node), **options)


def _judge_options(
    reader: Reader, node: yaml.Node, verb: str, do: Action, options: Mapping[str, object]
) -> None:
    lasts = options.get("lasts")
    if lasts is not None and not do.LASTS:
        reader.note(node, f"{verb} takes no lasts: it happens, and is over")
    elif isinstance(lasts, Duration) and lasts < do.SHORTEST_SECONDS:
        least = Duration(do.SHORTEST_SECONDS)
        reader.note(node, f"{verb}: nothing can be measured in {lasts}: at least {least}")
    if verb == TOGETHER and "within" in options:
        reader.note(node, f"{verb} takes no within: its steps do")


def _action(reader: Reader, verb: str, key: yaml.Node, node: yaml.Node) -> object:
    if verb == TOGETHER:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            return reader.note(node, "together: a sequence of steps")
        branches = []
        for one in node.value:
            nodes = one.value if isinstance(one, yaml.SequenceNode) else [one]
            found = [_step(reader, step) for step in nodes]
            branches.append(tuple(step for step in found if step is not None))
        return Together(branches=tuple(branches))
    if verb not in VERBS:
        return reader.note(key, f"there is no step {verb}{closest(verb, [*VERBS, TOGETHER])}")
    kind = VERBS[verb]
    if kind is Hears:
        who = reader.read(node, dict[str, tuple[str, ...]], verb)
        return Hears(who=who) if isinstance(who, dict) else MISSING
    return reader.struct(node, kind, verb)
