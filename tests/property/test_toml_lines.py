"""A document is generated together with the line of every key; the locator must find them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from bridge.daemon.config.toml_lines import KeyPath, key_lines, line_of


def quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=5),
)
SCALARS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.booleans().map(lambda value: "true" if value else "false"),
    st.sampled_from(["1.5", "1979-05-27T07:32:00Z", "0x1F", "''", '""', "'#'", '"]"', '"\\""']),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8).map(quoted),
    st.sampled_from(['"""\nmore\n[x]\nthan one # line\n"""', "'''\na = 1\n\n'''", '"""a""\n"""']),
)
GAPS = st.sampled_from(["", " ", "\n", " # [not] a = table\n", "\n\n# x\n  "])


@dataclass
class Draft:
    """A document as it grows. lines: where each key stands."""

    text: str = ""
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def write(self, text: str) -> None:
        self.text += text

    def note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)


def write_value(data: st.DataObject, draft: Draft, path: KeyPath, depth: int) -> None:
    kind = data.draw(st.sampled_from(["scalar", "array", "table"] if depth else ["scalar"]))
    if kind == "scalar":
        draft.write(data.draw(SCALARS))
    elif kind == "array":
        draft.write("[")
        for index in range(data.draw(st.integers(0, 3))):
            draft.write(("," if index else "") + data.draw(GAPS))
            draft.note((*path, index))
            write_value(data, draft, (*path, index), depth - 1)
            draft.write(data.draw(GAPS))
        draft.write("]")
    else:
        draft.write("{")
        for index, key in enumerate(data.draw(st.lists(KEYS, max_size=3, unique=True))):
            draft.write(", " if index else " ")
            draft.note((*path, key))
            draft.write(f"{quoted(key)} = ")
            write_value(data, draft, (*path, key), depth - 1)
        draft.write(" }")


def write_pairs(data: st.DataObject, draft: Draft, path: KeyPath) -> None:
    for key in data.draw(st.lists(KEYS, max_size=3, unique=True)):
        draft.write(data.draw(st.sampled_from(["", "  ", "# a = [\n", "\n"])))
        draft.note((*path, key))
        draft.write(f"{quoted(key)} = ")
        write_value(data, draft, (*path, key), 2)
        draft.write(data.draw(st.sampled_from(["\n", " # end ]\n"])))


def paths_of(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths_of(inner, (*path, index))


@given(st.data())
def test_every_key_is_found_on_its_line(data: st.DataObject) -> None:
    draft = Draft()
    write_pairs(data, draft, ())
    tables = data.draw(
        st.lists(st.from_regex(r"t[a-z]{2}", fullmatch=True), max_size=3, unique=True)
    )
    top = {path[0] for path in draft.lines}
    for name in tables:
        if name in top:
            continue
        count = data.draw(st.integers(0, 3))
        for index in range(max(count, 1)):
            path: KeyPath = (name, index) if count else (name,)
            draft.note((name,))
            draft.note(path)
            draft.write(f"[[ {name} ]]\n" if count else f"[{name}]\n")
            write_pairs(data, draft, path)
    document = tomllib.loads(draft.text)
    found = key_lines(draft.text)
    assert found == draft.lines
    assert set(found) == set(paths_of(document))


def test_dotted_keys_and_tables_below_elements_of_arrays() -> None:
    text = '[[a.b]]\nc."d e".f = 1\n[a.b.g]\nh = 2\r\n[[a.b]]\n[a.b.g]\nh = 3\n[[a.b.i]]\nj = 1\n'
    assert key_lines(text) == {
        ("a",): 1,
        ("a", "b"): 1,
        ("a", "b", 0): 1,
        ("a", "b", 0, "c"): 2,
        ("a", "b", 0, "c", "d e"): 2,
        ("a", "b", 0, "c", "d e", "f"): 2,
        ("a", "b", 0, "g"): 3,
        ("a", "b", 0, "g", "h"): 4,
        ("a", "b", 1): 5,
        ("a", "b", 1, "g"): 6,
        ("a", "b", 1, "g", "h"): 7,
        ("a", "b", 1, "i"): 8,
        ("a", "b", 1, "i", 0): 8,
        ("a", "b", 1, "i", 0, "j"): 9,
    }


def test_what_is_missing_has_the_line_of_the_table_that_should_have_it() -> None:
    lines = key_lines("x = 1\n[a]\nb = 1\n")
    assert line_of(lines, ("a", "b")) == 3
    assert line_of(lines, ("a", "c", "d")) == 2
    assert line_of(lines, ("e",)) is None
