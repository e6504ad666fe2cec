"""Which program an incoming call is for."""

from __future__ import annotations

import pytest

from bridge.api.programs.routes import Facts, best, headers_of, matches, rank, text_of
from bridge.protocol.frames import Route

FACTS = Facts(dialled="1002", endpoint="PJSIP/trunk-a", headers={"x-queue": "sales-vip"})

FITS = [
    Route(),
    Route(dialled="*"),
    Route(dialled="10*"),
    Route(dialled="1002"),
    Route(dialled="1002", endpoint="PJSIP/trunk*"),
    Route(dialled="1002", endpoint="PJSIP/trunk*", header=("X-Queue", "sales*")),
]
"""From the least specific to the most."""


@pytest.mark.parametrize("route", FITS)
def test_all_that_is_given_matches(route: Route) -> None:
    assert matches(route, FACTS)


@pytest.mark.parametrize(
    "route",
    [
        Route(dialled="1003"),
        Route(dialled="11*"),
        Route(dialled="100"),
        Route(dialled="1002", endpoint="PJSIP/1001"),
        Route(header=("X-Queue", "support*")),
        Route(header=("X-Other", "sales*")),
        Route(dialled="1002", header=("X-Queue", "sales")),
    ],
)
def test_one_that_does_not_match_is_enough(route: Route) -> None:
    assert not matches(route, FACTS)
    assert best([route], FACTS) is None


def test_the_most_specific_is_the_best() -> None:
    ranks = [rank(route) for route in FITS]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks) - 1, "all but the two that mean everything"
    assert best(FITS, FACTS) == ranks[-1]
    assert best([*FITS, Route(dialled="9", header=("a", "b"), endpoint="c")], FACTS) == ranks[-1]


def test_headers_and_words() -> None:
    assert headers_of(FITS) == {"X-Queue"}
    assert text_of(Route()) == "everything"
    assert text_of(FITS[-1]) == "dialled 1002, endpoint PJSIP/trunk*, X-Queue: sales*"
