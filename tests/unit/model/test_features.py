"""Feature codes: which keys ask for what."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.model.errors import BadArgumentError
from bridge.model.features import Asked, Feature, FeatureKeys, Reader

KEYS = FeatureKeys()


def typed(
    keys: str, *, every: float = 0.3, transferring: bool = False, codes: FeatureKeys = KEYS
) -> list[Asked]:
    """Return what is asked for by keys; a blank is a long pause."""
    reader, now, found = Reader(codes), 0.0, []
    for key in [*keys, " "]:
        now += 10.0 if key == " " else every
        if key == " ":
            reader, asked = reader.at(now)
        else:
            reader, asked = reader.press(key, now, transferring=transferring)
        if asked:
            found.append(asked)
    assert reader == Reader(codes)
    return found


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ("##1003#", [Asked(Feature.BLIND, "1003")]),
        ("##1003", [Asked(Feature.BLIND, "1003")]),
        ("*21004 ##1003#", [Asked(Feature.ATTENDED, "1004"), Asked(Feature.BLIND, "1003")]),
        ("12##3#", [Asked(Feature.BLIND, "3")]),
        ("#*2*30#", [Asked(Feature.ATTENDED, "*30")]),
        ("###5#", []),
        ("*1*3*4", []),
        ("##", []),
        ("###", []),
        ("# #1003#", []),
        ("1003#", []),
    ],
)
def test_who_talks_begins_a_transfer(keys: str, asked: list[Asked]) -> None:
    assert typed(keys) == asked


def test_who_transfers_goes_on_with_it() -> None:
    found = typed("*1*2*3*4##1003#", transferring=True)
    assert found == [
        Asked(Feature.CANCEL),
        Asked(Feature.COMPLETE),
        Asked(Feature.CONFERENCE),
        Asked(Feature.SWAP),
    ]


def test_a_code_that_comes_too_slowly_is_none() -> None:
    assert typed("##1#", every=1.5) == []
    assert typed("##1#", every=0.9) == [Asked(Feature.BLIND, "1")]


def test_a_key_after_the_time_of_a_number_does_not_belong_to_it() -> None:
    reader, asked = Reader(KEYS), None
    for at, key in enumerate("##12"):
        reader, asked = reader.press(key, float(at) * 0.5, transferring=False)
    assert asked is None
    reader, asked = reader.press("9", 20.0, transferring=False)
    assert asked == Asked(Feature.BLIND, "12")
    assert reader == Reader(KEYS)


def test_codes_of_ones_own() -> None:
    codes = FeatureKeys(blind="a1", attended="", swap="")
    assert typed("A17#", codes=codes) == [Asked(Feature.BLIND, "7")]
    assert typed("*27#", codes=codes) == []
    assert typed("*4", codes=codes, transferring=True) == []


@pytest.mark.parametrize(
    ("codes", "complaint"),
    [
        ({"blind": "x"}, "no phone has"),
        ({"blind": "*2"}, "two features at the same time"),
        ({"blind": "*"}, "begins another code"),
        ({"cancel": "*2"}, "two features at the same time"),
        ({"code_seconds": 0}, "above 0"),
    ],
)
def test_codes_that_cannot_be(codes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadArgumentError, match=complaint):
        FeatureKeys(**codes)


def test_numbers_are_not_shown_by_accident() -> None:
    assert "1003" not in repr(Asked(Feature.BLIND, "1003"))
    assert "1003" not in repr(Reader(KEYS, "1003", Feature.BLIND, 1.0))
