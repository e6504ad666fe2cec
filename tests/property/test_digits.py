"""Digits are collected as a person dials them: in order, up to the end that was asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.model.keys import DIGITS
from bridge.session.digits import Collection, EndedBy, Wanted

keys = st.sampled_from(DIGITS)
seconds = st.floats(0.01, 30, allow_nan=False)
wanted = st.builds(
    Wanted,
    max_digits=st.integers(1, 8),
    terminator=st.sampled_from(["", "#", "*#", "d"]),
    timeout_seconds=seconds,
    between_seconds=seconds,
)
presses = st.lists(st.tuples(st.floats(0, 20), keys), max_size=14)


@given(wanted, presses)
def test_it_ends_as_it_says(wanted: Wanted, presses: list[tuple[float, str]]) -> None:
    now, terminators = 0.0, set(wanted.terminator.upper())
    collection = Collection.begin(wanted, now)
    pressed: list[str] = []
    while collection.result is None and presses:
        pause, key = presses.pop(0)
        late = now + pause > collection.deadline
        now += pause
        collection = collection.press(key, now)
        if late:
            assert collection.result is not None
            assert collection.result.ended_by is EndedBy.TIMEOUT
            break
        pressed.append(key)
    collected = "".join(key for key in pressed if key not in terminators)
    if collection.result is None:
        assert collection.at(collection.deadline).result is not None
        assert len(collected) < wanted.max_digits
        collection = collection.at(collection.deadline)
    result = collection.result
    assert result is not None
    assert result.digits == collected
    assert (result.ended_by is EndedBy.COMPLETE) == (len(collected) == wanted.max_digits)
    ended = bool(pressed) and pressed[-1] in terminators
    assert (result.ended_by is EndedBy.TERMINATOR) == ended


@given(wanted, keys, st.floats(0, 100))
def test_nothing_follows_the_end(wanted: Wanted, key: str, later: float) -> None:
    over = Collection.begin(wanted, 0.0).at(wanted.timeout_seconds)
    assert over.result is not None
    assert over.press(key, wanted.timeout_seconds + later) == over


@given(wanted, st.floats(0, 1, exclude_max=True))
def test_nothing_ends_before_its_time(wanted: Wanted, part: float) -> None:
    begun = Collection.begin(wanted, 0.0)
    assert begun.at(wanted.timeout_seconds * part) == begun


@given(st.lists(st.sampled_from("0123456789"), min_size=4, max_size=4))
def test_digits_are_not_shown_by_accident(pin: list[str]) -> None:
    shown = []
    for digits in (pin, "0000"):
        collection = Collection.begin(Wanted(4, timeout_seconds=1.0), 0.0)
        for key in digits:
            collection = collection.press(key, 0.5)
        shown.append((repr(collection), repr(collection.result)))
    assert shown[0] == shown[1]
