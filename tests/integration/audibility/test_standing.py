"""What the report says is what is heard, measured by tones."""

from __future__ import annotations

import pytest

from bridge.model.audibility import Matrix
from bridge.model.errors import CallNotFoundError
from bridge.model.participants import Participant
from tests.integration.audibility.room import Room

pytestmark = pytest.mark.asterisk


def matrix(**hears: str) -> Matrix:
    """Return a matrix from whom each hears."""
    return frozenset(
        (Participant(listener), Participant(speaker))
        for listener, speakers in hears.items()
        for speaker in speakers.split()
    )


ALL_MODES = matrix(
    caller="callee barger bob cy",
    callee="caller barger coach cy",
    ann="caller callee barger cy",
    bob="caller callee barger cy",
    cy="caller callee barger",
    spy="caller callee barger cy",
    coach="caller callee barger cy",
    barger="caller callee cy",
)


async def test_six_observers_of_a_call_of_others(room: Room) -> None:
    for name in ("spy", "coach", "barger"):
        await room.program(name)
    for name in ("ann", "bob", "cy"):
        await room.person(name)
    observers = room.observers
    await observers[Participant("coach")].whisper("callee")
    await observers[Participant("bob")].whisper("caller")
    await observers[Participant("barger")].barge()
    await observers[Participant("cy")].barge()

    report = await room.look()
    assert report.ok, str(report)
    assert report.standing == report.wanted | report.standing == ALL_MODES
    assert report.strangers == ()
    measured = await room.heard()
    assert measured.wrong(ALL_MODES) == []
    await room.check()
    assert room.reports == []
    assert measured.heard == (await room.heard()).heard


async def test_a_measurement_that_finds_something_else_says_so(room: Room) -> None:
    await room.person("ann")
    measured = await room.heard()
    spying = matrix(caller="callee", callee="caller", ann="caller callee")
    assert measured.wrong(spying) == []
    told = measured.wrong(spying - matrix(ann="caller") | matrix(callee="ann"))
    assert [line.partition(":")[0] for line in told] == [
        "ann hears, unwanted, caller",
        "callee does not hear ann",
    ]


async def test_a_call_without_observers(room: Room) -> None:
    report = await room.look()
    assert report.ok
    assert report.standing == matrix(caller="callee", callee="caller")
    with pytest.raises(CallNotFoundError):
        await room.controller.audibility("nobody")
