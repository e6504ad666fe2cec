"""What a party asks for with keys while he talks: feature codes, and the numbers after them.

Pure: a reader is immutable, and time is an argument, in seconds of any clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from bridge.model.errors import BadArgumentError
from bridge.model.keys import DIGITS

_LONGEST_NUMBER = 32


class Feature(StrEnum):
    """What a code asks for."""

    BLIND = "blind"
    """Transfer the others to the number that follows."""
    ATTENDED = "attended"
    """The same, after a talk with who answers there."""
    CANCEL = "cancel"
    """While he transfers: take the others back."""
    COMPLETE = "complete"
    """While he transfers: leave them to each other."""
    CONFERENCE = "conference"
    """While he transfers: let all talk."""
    SWAP = "swap"
    """While he transfers: talk with the other side."""


NUMBERED = frozenset({Feature.BLIND, Feature.ATTENDED})
"""Codes that a number follows; the others have a meaning only during a transfer of one's own."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for. number: for those that one follows; empty for the others."""

    feature: Feature
    number: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class FeatureKeys:
    """The codes of the features; an empty one is off.

    The two that begin a transfer are known when none is under way, the other four during one that
    the same party makes: so a code may stand for one of each. A number ends with ``#``, or when
    ``number_seconds`` have passed without a key; the keys of a code come within ``code_seconds`` of
    each other. Raises BadArgumentError for codes that cannot be told apart.
    """

    blind: str = "##"
    attended: str = "*2"
    cancel: str = "*1"
    complete: str = "*2"
    conference: str = "*3"
    swap: str = "*4"
    code_seconds: float = 1.0
    number_seconds: float = 3.0

    def __post_init__(self) -> None:
        known = {feature.value for feature in Feature}
        codes = {f.name: getattr(self, f.name) for f in fields(self) if f.name in known}
        for name, code in codes.items():
            if wrong := set(code.upper()) - set(DIGITS):
                raise BadArgumentError(f"{name}={code!r}: no phone has {sorted(wrong)}")
        if self.code_seconds <= 0 or self.number_seconds <= 0:
            raise BadArgumentError("code_seconds and number_seconds have to be above 0")
        for transferring in (False, True):
            there = self.codes(transferring=transferring)
            if len(there) < sum(bool(codes[f]) for f in _features(transferring=transferring)):
                raise BadArgumentError("one code stands for two features at the same time")
            for code in there:
                if any(other != code and other.startswith(code) for other in there):
                    raise BadArgumentError(f"{code!r} begins another code: it is never known")

    def codes(self, *, transferring: bool) -> dict[str, Feature]:
        """Return the codes that are known, while he transfers or while he does not."""
        features = _features(transferring=transferring)
        return {code: f for f in features if (code := getattr(self, f.value).upper())}


def _features(*, transferring: bool) -> list[Feature]:
    return [feature for feature in Feature if (feature in NUMBERED) != transferring]


@dataclass(frozen=True, slots=True)
class Reader:
    """What one party has pressed up to now."""

    keys: FeatureKeys
    pressed: str = field(default="", repr=False)
    """The beginning of a code, or the number after one."""
    feature: Feature | None = None
    """Whose number is being dialled."""
    deadline: float | None = None
    """When what was pressed is over, unless a key comes."""

    def press(self, key: str, now: float, *, transferring: bool) -> tuple[Reader, Asked | None]:
        """Take one key. transferring: he makes a transfer that is under way."""
        if self.deadline is not None and now > self.deadline:
            over, asked = self.at(now)
            return (over, asked) if asked else over.press(key, now, transferring=transferring)
        key = key.upper()
        if self.feature is not None:
            return self._dial(self.feature, key, now)
        codes = self.keys.codes(transferring=transferring)
        pressed = self.pressed + key
        while pressed and not any(code.startswith(pressed) for code in codes):
            # A code may begin in the middle of what turned out to be none.
            pressed = pressed[1:]
        found = codes.get(pressed)
        if found is None:
            until = now + self.keys.code_seconds if pressed else None
            return replace(self, pressed=pressed, deadline=until), None
        if found in NUMBERED:
            until = now + self.keys.number_seconds
            return replace(self, pressed="", feature=found, deadline=until), None
        return Reader(self.keys), Asked(found)

    def at(self, now: float) -> tuple[Reader, Asked | None]:
        """Let time pass: a number is complete; the beginning of a code was none."""
        if self.deadline is None or now < self.deadline:
            return self, None
        return self._end()

    def _dial(self, feature: Feature, key: str, now: float) -> tuple[Reader, Asked | None]:
        if key == "#":
            return self._end()
        pressed = self.pressed + key
        if len(pressed) == _LONGEST_NUMBER:
            return Reader(self.keys), Asked(feature, pressed)
        deadline = now + self.keys.number_seconds
        return replace(self, pressed=pressed, deadline=deadline), None

    def _end(self) -> tuple[Reader, Asked | None]:
        dialled = self.feature is not None and self.pressed
        asked = Asked(self.feature, self.pressed) if self.feature and dialled else None
        return Reader(self.keys), asked
