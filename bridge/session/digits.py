"""Digits that somebody dials during a call: what is collected, and when it is complete. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from bridge.model.errors import BadArgumentError
from bridge.model.keys import DIGITS


class EndedBy(StrEnum):
    """Why no more digits are waited for."""

    COMPLETE = "complete"
    """As many as were wanted."""
    TERMINATOR = "terminator"
    """The key that ends them; it is not among them."""
    TIMEOUT = "timeout"
    """The first, or the next, did not come in time."""


@dataclass(frozen=True, slots=True)
class Digits:
    """What was collected. Its ``repr`` does not show them: they may be a PIN."""

    digits: str = field(repr=False)
    ended_by: EndedBy


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which digits are waited for, and how long."""

    max_digits: int
    terminator: str = "#"
    """Keys each of which ends the digits; may be empty."""
    timeout_seconds: float = 10.0
    """For the first key."""
    between_seconds: float = 3.0
    """From one key to the next."""

    def __post_init__(self) -> None:
        if self.max_digits < 1:
            raise BadArgumentError(f"max_digits={self.max_digits}: at least 1")
        if unknown := set(self.terminator.upper()) - set(DIGITS):
            raise BadArgumentError(
                f"terminator={self.terminator!r}: no phone has {sorted(unknown)}; "
                f"one has {DIGITS}, and '' is no terminator"
            )
        if self.timeout_seconds <= 0 or self.between_seconds <= 0:
            raise BadArgumentError("timeout_seconds and between_seconds have to be above 0")


@dataclass(frozen=True, slots=True)
class Collection:
    """Digits on their way. Immutable: ``press`` returns the next one; time is seconds of any clock.

    A key that comes exactly at the deadline is in time.
    """

    wanted: Wanted
    deadline: float
    """When it is given up, unless a key comes."""
    result: Digits | None = None
    digits: str = field(default="", repr=False)

    @classmethod
    def begin(cls, wanted: Wanted, now: float) -> Collection:
        """Wait for the first key from ``now`` on."""
        return cls(wanted, now + wanted.timeout_seconds)

    def press(self, key: str, now: float) -> Collection:
        """Take one key; one that comes after the end changes nothing."""
        in_time = self.at(now) if now > self.deadline else self
        if in_time.result is not None:
            return in_time
        key = key.upper()
        if key in self.wanted.terminator.upper():
            return replace(self, result=Digits(self.digits, EndedBy.TERMINATOR))
        digits = self.digits + key
        full = len(digits) == self.wanted.max_digits
        return replace(
            self,
            digits=digits,
            deadline=now + self.wanted.between_seconds,
            result=Digits(digits, EndedBy.COMPLETE) if full else None,
        )

    def at(self, now: float) -> Collection:
        """Let time pass."""
        if self.result is not None or now < self.deadline:
            return self
        return replace(self, result=Digits(self.digits, EndedBy.TIMEOUT))
