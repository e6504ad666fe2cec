"""What the programs of scripts/examples read, without an Asterisk."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "scripts/examples"


@pytest.mark.parametrize(
    ("text", "first", "last", "count"),
    [("9-17", 9, 16, 8), ("0-24", 0, 23, 24), ("22-6", 22, 5, 8)],
)
def test_an_office_may_be_open_at_night(text: str, first: int, last: int, count: int) -> None:
    hours = runpy.run_path(str(EXAMPLES / "after_hours.py"))["hours"]
    found = hours(text)
    assert (found[0], found[-1], len(found)) == (first, last, count)
    assert hours("0-0") == []
    for wrong in ("9", "9-", "nine-five", "9-12-17"):
        with pytest.raises(ValueError, match=r"invalid literal|unpack"):
            hours(wrong)
