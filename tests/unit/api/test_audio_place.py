"""Where a command stands in what somebody says over an audio socket."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from bridge.api.audio import Place, come
from bridge.model.errors import CommandTimeoutError, InvalidStateError
from bridge.runtime.pending import Pending, telling_placed

FREE_SECONDS = 5.0


async def test_what_comes_behind_a_command_waits_for_it() -> None:
    place = Place()
    with place.turn(99, holds=True) as turn:
        assert place.before(1000) == 100, "of a sample both bytes"
        place.add(100)
        assert turn.come.is_set()
        assert place.before(1000) == 0
        waiting = asyncio.create_task(place.free(FREE_SECONDS))
        await asyncio.sleep(0)
        assert not waiting.done()
        turn.placed.set()
        await waiting
        assert place.before(1000) == 1000, "it goes on for as long as it takes"


async def test_one_that_failed_is_waited_for_no_longer() -> None:
    place = Place(received=10)
    with contextlib.suppress(InvalidStateError), place.turn(4, holds=True) as turn:
        assert turn.come.is_set(), "it is late, and what comes now is for after it even so"
        assert place.before(6) == 0
        raise InvalidStateError("refused")
    assert place.before(6) == 6


async def test_one_without_a_place_is_told_when_its_audio_has_come_and_holds_nothing() -> None:
    place = Place()
    with place.turn(6, holds=False) as turn:
        assert place.before(10) == 6
        place.add(6)
        assert turn.come.is_set()
        assert place.before(10) == 10


async def test_each_of_two_holds_until_it_has_its_own_place() -> None:
    place = Place()
    with place.turn(2, holds=True) as first, place.turn(4, holds=True) as second:
        place.add(2)
        assert place.before(10) == 0
        first.placed.set()
        assert place.before(10) == 2
        place.add(2)
        assert place.before(10) == 0
        second.placed.set()
        assert place.before(10) == 10


async def test_who_gave_a_command_is_told_once_and_of_his_own() -> None:
    told: list[str] = []
    pending = Pending()
    nobody, _ = pending.begin()
    with telling_placed(lambda: told.append("placed")):
        token, _ = pending.begin()
        refused, done = pending.begin()
    after, _ = pending.begin()
    pending.settle(refused)
    for one in (nobody, after, refused):
        pending.placed(one)
    assert (told, done.done()) == ([], True)
    pending.placed(token)
    pending.placed(token)
    assert told == ["placed"]


async def test_what_waits_behind_a_command_has_come_in_time_however_long_that_one_takes() -> None:
    place = Place()
    with place.turn(2, holds=True) as first, place.turn(4, holds=False) as second:
        place.add(2)
        coming = asyncio.create_task(come(second, place, "ai", within=0.01))
        # Longer than it has, by far.
        await asyncio.wait({coming}, timeout=0.1)
        assert not coming.done()
        first.placed.set()
        place.add(2)
        await coming


async def test_what_does_not_come_is_waited_for_no_longer() -> None:
    place = Place()
    with place.turn(2, holds=True) as turn, pytest.raises(CommandTimeoutError, match="0 bytes"):
        await come(turn, place, "ai", within=0.01)
