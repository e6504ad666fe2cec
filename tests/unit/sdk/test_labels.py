"""Labels of a call: among its notes, and bounded."""

from __future__ import annotations

import pytest

from bridge.model.errors import BadArgumentError
from bridge.runtime.notes import Notes
from bridge.sdk.labels import Labels


def test_they_are_notes_of_their_own() -> None:
    notes = Notes({"parked": "7101"})
    labels = Labels(notes)
    assert dict(labels) == {}
    labels["program"] = "desk"
    assert dict(Labels(notes)) == {"program": "desk"}
    assert dict(notes) == {"parked": "7101", "label.program": "desk"}
    del labels["program"]
    assert (dict(labels), dict(notes)) == ({}, {"parked": "7101"})
    with pytest.raises(KeyError):
        labels["parked"]


def test_they_are_bounded() -> None:
    labels = Labels(Notes())
    with pytest.raises(BadArgumentError):
        labels["long"] = "x" * 1001
    for number in range(20):
        labels[str(number)] = "x"
    with pytest.raises(BadArgumentError):
        labels["one more"] = "x"
    labels["3"] = "another"
    assert labels["3"] == "another"
