"""A measured quantity: its median and how far it spreads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bridge.model.errors import BadArgumentError

_FEW = 20
"""Below this many values p5 and p95 say nothing that the smallest and the greatest do not."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of a table. Raises BadArgumentError without values."""

    name: str
    unit: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise BadArgumentError(f"{self.name}: nothing was measured")

    @classmethod
    def of(cls, name: str, unit: str, values: Sequence[float]) -> Figure:
        """Make a figure of what was measured."""
        return cls(name, unit, tuple(values))

    @property
    def median(self) -> float:
        """The middle one."""
        return float(np.median(self.values))

    @property
    def p95(self) -> float:
        """What one in twenty exceeds."""
        return float(np.percentile(self.values, 95))

    @property
    def spread(self) -> str:
        """``p5 to p95``, or the smallest and the greatest of a few."""
        if len(self.values) == 1:
            return ""
        low, high = np.percentile(self.values, [5, 95] if len(self.values) >= _FEW else [0, 100])
        return f"{_short(low)} to {_short(high)}"

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return name, median, spread, greatest and number, for a table."""
        count = len(self.values)
        greatest = _short(max(self.values)) if count > 1 else ""
        return self.name, f"{_short(self.median)} {self.unit}", self.spread, greatest, str(count)

    def as_json(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        return {
            "name": self.name,
            "unit": self.unit,
            "n": len(self.values),
            "median": round(self.median, 3),
            "p5": round(float(np.percentile(self.values, 5)), 3),
            "p95": round(self.p95, 3),
            "min": round(min(self.values), 3),
            "max": round(max(self.values), 3),
        }


@dataclass(frozen=True, slots=True)
class Chapter:
    """Figures that belong together, and what one must know to read them."""

    title: str
    note: str
    figures: tuple[Figure, ...]
    others_percent: float = 0.0
    """CPU of all else on the machine meanwhile, as a share of one core."""

    def as_json(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        figures = [figure.as_json() for figure in self.figures]
        return {
            "title": self.title,
            "note": self.note,
            "others_percent": self.others_percent,
            "figures": figures,
        }


def _short(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"  # noqa: PLR2004 - three digits
