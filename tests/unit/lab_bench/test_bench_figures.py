from __future__ import annotations

import pytest

from bridge.lab.bench.figures import Chapter, Figure
from bridge.model.errors import BadArgumentError


def test_a_figure_says_median_spread_and_number() -> None:
    figure = Figure.of("a switch", "ms", [float(number) for number in range(101)])
    assert figure.cells() == ("a switch", "50.0 ms", "5.00 to 95.0", "100.0", "101")
    assert (figure.median, figure.p95) == (50, 95)


def test_few_values_spread_from_the_smallest_to_the_greatest() -> None:
    assert Figure.of("a", "ms", [3.0, 1.0, 2.0]).spread == "1.00 to 3.00"
    assert Figure.of("a", "MiB", [3.0]).cells() == ("a", "3.00 MiB", "", "", "1")


def test_nothing_measured_is_no_figure() -> None:
    with pytest.raises(BadArgumentError, match="frames lost"):
        Figure.of("frames lost", "", [])


def test_a_chapter_is_written_with_all_that_a_reader_needs() -> None:
    figure = Figure.of("CPU", "%", [1.0, 2.0, 3.0])
    chapter = Chapter("Load", "on one core", (figure,), others_percent=5.0)
    assert chapter.as_json() == {
        "title": "Load",
        "note": "on one core",
        "others_percent": 5.0,
        "figures": [
            {
                "name": "CPU",
                "unit": "%",
                "n": 3,
                "median": 2.0,
                "p5": 1.1,
                "p95": 2.9,
                "min": 1.0,
                "max": 3.0,
            }
        ],
    }
