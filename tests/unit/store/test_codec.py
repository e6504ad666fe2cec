"""Whatever a program put into a record, it is written, and can be read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.protocol.views import ContextView, EventView, NoteView
from bridge.store.codec import TYPES, encode, kind_of
from bridge.store.framing import Kind
from tests.support.records import audit, call_record, delivery, event, note, update


class _Odd:
    def __repr__(self) -> str:
        return "odd"


class _Broken:
    def __repr__(self) -> str:
        raise LookupError("no")


ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters()),
        st.binary(),
        st.builds(_Odd),
    ),
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(st.one_of(st.text(st.characters()), st.integers(), st.none()), inner),
        st.tuples(inner, inner),
    ),
    max_leaves=10,
)


@given(ANYTHING)
def test_anything_in_an_event_can_be_written(value: object) -> None:
    body = encode(event(data={"value": value}))
    assert b"\n" not in body
    assert msgspec.json.decode(body, type=EventView).seq == 1


@given(st.text(st.characters()))
def test_any_text_of_a_note_can_be_written(text: str) -> None:
    read = msgspec.json.decode(encode(note(text=text)), type=NoteView)
    assert read.text == text.encode("utf-8", "replace").decode()


def test_what_json_knows_is_written_as_it_is() -> None:
    values: dict[str, Any] = {"a": [1, 2.5, None, True, "ä\u2028\n"], "b": {"c": {}}}
    context = ContextView(call_id="c", saved_at=1.0, values=values)
    assert msgspec.json.decode(encode(context), type=ContextView) == context


def test_what_has_no_end_is_cut() -> None:
    loop: list[Any] = []
    loop.append(loop)
    read = msgspec.json.decode(encode(event(data={"loop": loop})), type=EventView)
    assert "…" in repr(read.data)


def test_what_cannot_even_be_shown_raises() -> None:
    with pytest.raises(LookupError):
        encode(event(data={"broken": _Broken()}))


def test_every_record_has_its_kind() -> None:
    context = ContextView(call_id="c", saved_at=1.0, values={})
    records = (call_record(), event(), note(), context, audit(), delivery(), update())
    assert [kind_of(record) for record in records] == list(Kind)
    assert set(TYPES) == set(Kind)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(TypeError, match="int"):
        kind_of(7)  # type: ignore[arg-type]  # what a careless program does
