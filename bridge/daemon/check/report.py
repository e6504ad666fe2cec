"""What was tested, what came out, and what to change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How a test ended."""

    OK = "ok"
    WARN = "warn"
    """It works, but not all of it, or it could not be tested."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One test. part: what was tested; said: what was found; change: what to do about it."""

    part: str
    verdict: Verdict
    said: str
    change: str = ""


def ok(part: str, said: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(part, Verdict.OK, said)


def warn(part: str, said: str, change: str) -> Finding:
    """Return that something is less than it should be."""
    return Finding(part, Verdict.WARN, said, change)


def fail(part: str, said: str, change: str) -> Finding:
    """Return that something does not work."""
    return Finding(part, Verdict.FAIL, said, change)


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found."""

    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Report:
        """Put findings together."""
        return cls(tuple(findings))

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        found = {finding.verdict for finding in self.findings}
        return next((one for one in (Verdict.FAIL, Verdict.WARN) if one in found), Verdict.OK)

    @property
    def exit_code(self) -> int:
        """Return 0 when all is well, 1 with warnings, 2 when something does not work."""
        return {Verdict.OK: 0, Verdict.WARN: 1, Verdict.FAIL: 2}[self.verdict]

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "verdict": self.verdict.value,
            "findings": [asdict(finding) for finding in self.findings],
        }
