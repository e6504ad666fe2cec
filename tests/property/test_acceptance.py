"""Whatever is written in a run's file, it is a run or its mistakes are told."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from bridge.lab.acceptance import MistakesError, Run, parse
from bridge.lab.acceptance.verbs import TOGETHER, VERBS

WORDS = st.sampled_from(
    ["anna", "ben", "1001", "2s", "spy", "", "ai", "true", "null", "${X}", "x y", "-1", "music"]
)
FIELDS = st.sampled_from(
    ["from", "to", "by", "as", "phone", "who", "at", "keys", "call", "extension", "within", "name"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    WORDS | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS | WORDS, inner, max_size=3),
    max_leaves=6,
)
VERB = st.sampled_from([*VERBS, TOGETHER, "within", "lasts", "name", "plaze"])
STEPS = st.lists(st.dictionaries(VERB, VALUES, max_size=2), max_size=4)
RUNS = st.fixed_dictionaries(
    {"name": WORDS, "phones": st.just({"anna": 1001, "ben": "1002"}) | VALUES, "steps": STEPS},
    optional={"server": VALUES, "codec": WORDS, "hearing": VALUES, "timeout": VALUES},
)


def judged(text: str) -> Run | MistakesError:
    try:
        return parse(text, environment={})
    except MistakesError as error:
        return error


@given(RUNS | VALUES)
def test_a_document_is_a_run_or_its_mistakes_are_told(document: object) -> None:
    text = yaml.safe_dump(document, allow_unicode=True)
    found = judged(text)
    lines = text.count("\n") + 1
    if isinstance(found, MistakesError):
        assert found.mistakes
        assert all(1 <= one.line <= lines and one.message for one in found.mistakes)
    else:
        assert found.steps
        assert all(1 <= step.line <= lines and step.shown for step in found.steps)


@given(st.text(max_size=60))
def test_any_text_is_no_run(text: str) -> None:
    assert isinstance(judged(text), MistakesError)
