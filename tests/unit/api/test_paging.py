"""Parts of lists."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.api.decoding import FieldsError
from bridge.api.paging import cursor, opened, paged, whole
from bridge.protocol.requests import Listing


def key(item: tuple[float, str]) -> tuple[float, str]:
    return item


ITEMS = st.lists(st.tuples(st.floats(0, 1e9), st.text(max_size=5)), unique=True, max_size=40)


def all_parts(items: list[tuple[float, str]], limit: int, *, newest_first: bool) -> list[object]:
    found: list[object] = []
    listing = Listing(limit=limit)
    while True:
        page = paged(items, listing, key, newest_first=newest_first)
        assert len(page.items) <= limit
        found += page.items
        if page.next is None:
            return found
        assert page.items
        listing = Listing(limit=limit, cursor=page.next)


@given(items=ITEMS, limit=st.integers(1, 10), newest_first=st.booleans())
def test_the_parts_are_the_list(
    items: list[tuple[float, str]], limit: int, *, newest_first: bool
) -> None:
    wanted = sorted(items, reverse=newest_first)
    assert all_parts(items, limit, newest_first=newest_first) == wanted


@given(ITEMS, ITEMS, st.integers(1, 5))
def test_what_stays_is_shown_once_whatever_comes_and_goes(
    before: list[tuple[float, str]], after: list[tuple[float, str]], limit: int
) -> None:
    stays = [item for item in before if item in after]
    first = paged(before, Listing(limit=limit), key)
    shown = list(first.items)
    if first.next is not None:
        last = first.items[-1]
        rest = paged(after, Listing(limit=500, cursor=first.next), key)
        assert all(item > last for item in rest.items)
        shown += rest.items
        assert all(shown.count(item) == 1 for item in stays)


@given(st.text(max_size=50))
def test_a_cursor_of_nobody_is_refused(text: str) -> None:
    items = [(1.0, "a"), (2.0, "b")]
    with contextlib.suppress(FieldsError):
        page = paged(items, Listing(cursor=text), key)
        assert set(page.items) <= set(items)


@pytest.mark.parametrize("text", [cursor(("a", 1.0)), "", "x", "é", "AAAA", cursor(())])
def test_a_cursor_of_another_list_is_refused(text: str) -> None:
    with pytest.raises(FieldsError) as caught:
        paged([(1.0, "a")], Listing(cursor=text), key)
    assert caught.value.fields[0].at == "$.cursor"


def test_a_cursor_is_opaque_and_whole() -> None:
    text = cursor((1.5, "é"))
    assert opened(text) == (1.5, "é")
    assert text.isascii()


def test_a_short_list_has_no_parts() -> None:
    assert whole([1, 2]).items == (1, 2)
    assert whole([1, 2]).next is None
