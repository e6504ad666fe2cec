"""Whether a run that can be read can be made, and can fail: everything that is otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

from msgspec.structs import fields

from bridge.lab.acceptance.document import Mistake, closest
from bridge.lab.acceptance.model import (
    APART_HZ,
    BRIEF,
    MUSIC,
    PhoneSpec,
    Run,
    Step,
    free_tones,
)
from bridge.lab.acceptance.steps import Action, Event, Hears, Observe, Together, Transfer
from bridge.model.participants import participant
from bridge.sdk.events import CallEvent, ClientEvent

_EVENTS: Final = [*ClientEvent, *CallEvent]
_BY_PHONE: Final = {"by", "to"}
"""All that a phone's REFER says."""


def mistakes_of(run: Run, lines: Mapping[str, int]) -> Iterator[Mistake]:
    """Tell what is wrong with a run. lines: where its phones are, by their names."""
    return _Checks(run, lines).mistakes()


class _Checks:
    """Goes through a run in the order of its steps: actors have to come before they do anything."""

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
        given = self._given()
        most = len(given) + len(free_tones(given.values()))
        if voices > most:
            yield Mistake(1, f"{voices} voices, of which {most} can be told apart")

    def _of_phones(self) -> Iterator[Mistake]:
        extensions: dict[str, str] = {}
        for name, spec in self._run.phones.items():
            line = self._lines.get(name, 1)
            yield from (Mistake(line, f"phones: {why}") for why in self._of_phone(name, spec))
            if spec.extension in extensions:
                other = extensions[spec.extension]
                yield Mistake(line, f"{name} and {other} have one extension, {spec.extension}")
            extensions[spec.extension] = name
        for (one, hz), (other, than) in combinations(self._given().items(), 2):
            if abs(hz - than) < APART_HZ:
                why = f"{other} and {one} say tones that are not {APART_HZ:g} Hz apart"
                yield Mistake(self._lines.get(other, 1), why)

    def _given(self) -> dict[str, float]:
        """Return the tones that the run says, in Hz."""
        tones = {name: spec.tone for name, spec in self._run.phones.items()}
        return {name: hz for name, hz in tones.items() if hz is not None}

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
            for why in self._of_step(do):
                yield Mistake(step.line, f"{step.verb}: {why}")

    def _of_step(self, do: Action) -> Iterator[str]:
        if do.MAKES:
            yield from self._of_actor(do, *do.named((do.MAKES,)))
        if isinstance(do, Transfer):
            yield from self._of_transfer(do)
        if isinstance(do, Event) and do.type not in _EVENTS:
            yield f"there is no event {do.type}{closest(do.type, list(map(str, _EVENTS)))}"
        yield from self._of_names(do)

    def _of_actor(self, do: Action, name: str) -> Iterator[str]:
        """Judge the name of who comes by this; who observes on a phone may have the phone's."""
        if name in {MUSIC, BRIEF}:
            yield f"as: {name} means something else: name him otherwise"
        if name in self._phones and getattr(do, "phone", None) != name:
            yield f"as: {name} is a phone: name him otherwise"
        if isinstance(do, Observe):
            try:
                participant(name)
            except ValueError as error:
                yield f"as: {error}"
        self._actors.add(name)

    def _of_transfer(self, do: Transfer) -> Iterator[str]:
        if do.brief is not None:
            self._voices.add(BRIEF)
        if do.by not in self._phones:
            return
        more = [
            one.name
            for one in fields(do)
            if one.name not in _BY_PHONE and getattr(do, one.name) != one.default
        ]
        if more or len(do.to) > 1:
            what = ", ".join(more) or "several to"
            yield f"{do.by} is a phone, which can say one to and nothing else: not {what}"

    def _of_names(self, do: Action) -> Iterator[str]:
        """Judge whether everybody who is named is there, and whether anybody is."""
        for field in (*do.PHONES, *do.EITHER, *do.NEEDED):
            if getattr(do, field) == ():
                yield f"{field} names nobody"
        kinds = (
            (do.PHONES, self._phones, "phone"),
            (do.ACTORS, self._actors, "agent or observer, so far,"),
            (do.EITHER, self._phones | self._actors, "phone, agent or observer, so far,"),
        )
        for names, known, kind in kinds:
            for name in do.named(names):
                if name not in known:
                    hint = closest(name, sorted(known)) if known else ""
                    yield f"there is no {kind} {name}{hint}"
        voices = self._phones | self._actors | self._voices
        for name in do.voices if isinstance(do, Hears) else ():
            if name not in voices:
                yield f"there is no voice {name}{closest(name, sorted(voices))}"
