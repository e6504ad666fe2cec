"""Unit: which SIP headers a program may give to a leg."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.errors import BadArgumentError
from bridge.model.headers import (
    ALL_BYTES,
    HEADER_BYTES,
    checked_headers,
    header_text,
    user_to_user,
)


def test_what_may_be_sent() -> None:
    headers = {"X-Ticket": "A-17", "User-to-User": user_to_user("hi"), "Subject": "Grüße, 日本 😀"}
    assert checked_headers(headers) == tuple(headers.items())
    assert checked_headers([("X-A", "1"), ("X-A", "")]) == (("X-A", "1"), ("X-A", ""))
    assert user_to_user("hi") == user_to_user(b"hi") == "6869;encoding=hex"


@pytest.mark.parametrize(
    "name",
    [
        *("", "X A", "X:A", "X\r\nVia", "X),SHELL(ls", "Über", "X" * 65),
        *("From", "via", "CALL-ID", "Content-Type", "Replaces", "f", "V", "Proxy-Authorization"),
    ],
)
def test_names_that_may_not_be_set(name: str) -> None:
    with pytest.raises(BadArgumentError, match="SIP header"):
        checked_headers({name: "value"})


@pytest.mark.parametrize(
    "value", ["a\r\nVia: b", "a\nb", "a\rb", "a\0b", "a\x1b[1mb", "a\x7f", "a\u2028b", "\ud800"]
)
def test_values_that_would_be_more_than_one(value: str) -> None:
    with pytest.raises(BadArgumentError, match="X-A"):
        checked_headers({"X-A": value})


def test_values_that_are_too_long() -> None:
    whole = "ü" * (HEADER_BYTES // 2)
    assert checked_headers({"X-A": whole}) == (("X-A", whole),)
    with pytest.raises(BadArgumentError, match="1001 bytes"):
        checked_headers({"X-A": whole + "."})
    many = {f"X-{n}": "x" * 500 for n in range(ALL_BYTES // 500)}
    with pytest.raises(BadArgumentError, match="cut off on its way"):
        checked_headers(many)


@given(st.text(), st.integers(min_value=0, max_value=HEADER_BYTES))
def test_any_text_becomes_a_header(text: str, limit: int) -> None:
    value = header_text(text, limit)
    assert len(value.encode()) <= limit
    assert checked_headers({"X-A": value}) == (("X-A", value),)
    assert value == " ".join(value.split())


def test_text_is_kept_as_far_as_it_goes() -> None:
    assert header_text("  wants\r\n a\trefund \0 now ") == "wants a refund now"
    assert header_text("Grüße", 3) == "Gr"
    assert header_text("Grüße", 4) == "Grü"
