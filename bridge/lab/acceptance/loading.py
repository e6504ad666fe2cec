"""A file read into a run, or every mistake in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

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
from bridge.lab.acceptance.model import BRIEF, MUSIC, VOICES, Head, PhoneSpec, Program, Run, Step
from bridge.lab.acceptance.steps import Action, Hears, Together, Transfer
from bridge.lab.acceptance.values import Duration
from bridge.lab.acceptance.verbs import TOGETHER, VERBS
from bridge.model.errors import ConfigurationError
from bridge.model.participants import participant

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
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
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
    entries = {name: value for name, _, value in pairs(root)}
    steps = _steps(reader, entries.get(_STEPS))
    head = _head(reader, root)
    if head is None:
        raise MistakesError(path, reader.mistakes)
    if head.server is not None and head.server.callbridge and head.program != Program():
        what = "program: that is for the configuration of the daemon that server.callbridge names"
        reader.note(entries["program"], what)
    run = Run(steps=steps, **msgspec.structs.asdict(head))
    reader.mistakes += _References(run, _lines(entries.get("phones"))).mistakes()
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
    options: dict[str, Any] = {
        name: reader.read(value, _OPTIONS[name], name)
        for name, _, value in pairs(node)
        if name in _OPTIONS
    }
    name, key, value = verbs[0]
    do = _action(reader, name, key, value)
    if "lasts" in options and isinstance(do, Action) and not do.LASTS:
        reader.note(node, f"{name} takes no lasts: it happens, and is over")
    if isinstance(do, Missing) or MISSING in options.values():
        return None
    return Step(do=do, verb=name, line=line_of(node), **options)


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


class _References:
    """Whether everybody who is named is there: phones, and actors who have come before."""

    def __init__(self, run: Run, lines: Mapping[str, int]) -> None:
        self._run = run
        self._lines = lines
        self._phones = set(run.phones)
        self._actors: set[str] = set()
        self._voices = {MUSIC}

    def mistakes(self) -> Iterator[Mistake]:
        """Tell what is wrong."""
        yield from self._of_phones()
        yield from self._of(self._run.steps)
        voices = len(self._phones | self._actors | self._voices) - 1
        if voices > VOICES:
            yield Mistake(1, f"{voices} voices, of which {VOICES} can be told apart")

    def _of_phones(self) -> Iterator[Mistake]:
        extensions: dict[str, str] = {}
        for name, spec in self._run.phones.items():
            line = self._lines.get(name, 1)
            yield from (Mistake(line, f"phones: {why}") for why in self._of_phone(name, spec))
            if spec.extension in extensions:
                other = extensions[spec.extension]
                yield Mistake(line, f"{name} and {other} have one extension, {spec.extension}")
            extensions[spec.extension] = name

    def _of_phone(self, name: str, spec: PhoneSpec) -> Iterator[str]:
        try:
            participant(name)
        except ValueError as error:
            yield str(error)
        if name in {MUSIC, BRIEF}:
            yield f"{name} means something else: name it otherwise"
        if self._run.server is not None and spec.register and not spec.password:
            yield f"{name} needs the password of {spec.extension}"

    def _of(self, steps: tuple[Step, ...]) -> Iterator[Mistake]:
        for step in steps:
            do = step.do
            if isinstance(do, Together):
                for branch in do.branches:
                    yield from self._of(branch)
                continue
            if do.MAKES:
                self._actors |= set(do.named((do.MAKES,)))
            if isinstance(do, Transfer) and do.brief is not None:
                self._voices.add(BRIEF)
            yield from self._of_step(step)

    def _of_step(self, step: Step) -> Iterator[Mistake]:
        do: Action = step.do
        kinds = (
            (do.PHONES, self._phones, "phone"),
            (do.ACTORS, self._actors, "agent or observer, so far,"),
            (do.EITHER, self._phones | self._actors, "phone, agent or observer, so far,"),
        )
        for fields, known, kind in kinds:
            for name in do.named(fields):
                if name not in known:
                    hint = closest(name, sorted(known)) if known else ""
                    yield Mistake(step.line, f"{step.verb}: there is no {kind} {name}{hint}")
        known_voices = self._phones | self._actors | self._voices
        for name in do.voices if isinstance(do, Hears) else ():
            if name not in known_voices:
                hint = closest(name, sorted(known_voices))
                yield Mistake(step.line, f"{step.verb}: there is no voice {name}{hint}")
