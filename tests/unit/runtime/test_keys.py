"""Keys: what they mean, and which of them is carried out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

import pytest

from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError, CallbridgeError, ServerError
from bridge.model.keys import DIGITS, KeyAction, KeyMap
from bridge.runtime.keys import Keys


def test_the_keys_that_supervisors_know() -> None:
    keys = KeyMap()
    assert {digit: keys[digit] for digit in DIGITS if keys[digit]} == {
        "4": KeyAction.SPY,
        "5": KeyAction.WHISPER,
        "6": KeyAction.BARGE,
        "*": KeyAction.NEXT,
        "#": KeyAction.LEAVE,
    }


def test_keys_of_ones_own() -> None:
    keys = KeyMap.of({"a": "take_over", "B": KeyAction.GIVE_BACK, "1": "spy", "2": "spy"})
    assert (keys["A"], keys["a"]) == (KeyAction.TAKE_OVER, KeyAction.TAKE_OVER)
    assert keys["b"] is KeyAction.GIVE_BACK
    assert keys["1"] is keys["2"] is KeyAction.SPY
    assert keys["4"] is None


def test_no_keys() -> None:
    assert not [digit for digit in DIGITS if KeyMap.of({})[digit]]


@pytest.mark.parametrize(
    ("mapping", "complaint"),
    [
        ({"E": "spy"}, "'E' is no key: use one of 0-9"),
        ({"": "spy"}, "'' is no key"),
        ({"44": "spy"}, "'44' is no key"),
        ({"٤": "spy"}, "is no key"),
        ({"a": "spy", "A": "barge"}, "the key A is named twice"),
        ({"1": "shout"}, "key 1: 'shout' is no action: use one of spy, whisper, barge"),
    ],
)
def test_a_map_that_cannot_be(mapping: Mapping[str, str], complaint: str) -> None:
    with pytest.raises(BadArgumentError) as caught:
        KeyMap.of(mapping)
    assert complaint in caught.value.error_message


class Desk:
    """Carries out actions when it is let; the next one fails if ``error`` is set."""

    def __init__(self) -> None:
        self.begun: list[KeyAction] = []
        self.refused: list[tuple[KeyAction, CallbridgeError]] = []
        self.error: Exception | None = None
        self.let = asyncio.Semaphore(0)
        self.keys = Keys(
            KeyMap(),
            self._act,
            on_refused=lambda action, error: self.refused.append((action, error)),
            owner="supervisor",
        )
        self.task = asyncio.create_task(self.keys.run())

    async def _act(self, action: KeyAction) -> None:
        self.begun.append(action)
        await self.let.acquire()
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    async def begins(self, *actions: KeyAction) -> None:
        await until(lambda: self.begun == list(actions), f"begun: {actions}")

    async def rests(self) -> None:
        """Let everything be carried out, and see that nothing more begins."""
        for _ in range(10):
            self.let.release()
            # Nothing here waits for anything but the turns of the event loop.
            for _ in range(10):
                await asyncio.sleep(0)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    desk.task.cancel()
    await asyncio.gather(desk.task, return_exceptions=True)


async def test_one_after_the_other(desk: Desk) -> None:
    assert desk.keys.press("4") is KeyAction.SPY
    await desk.begins(KeyAction.SPY)
    desk.let.release()
    desk.keys.press("6")
    await desk.begins(KeyAction.SPY, KeyAction.BARGE)


async def test_a_key_that_means_nothing(desk: Desk) -> None:
    assert desk.keys.press("9") is None
    await desk.rests()
    assert desk.begun == []


async def test_two_quick_presses_are_one(desk: Desk) -> None:
    desk.keys.press("4")
    desk.keys.press("4")
    await desk.begins(KeyAction.SPY)
    desk.keys.press("4")
    await desk.rests()
    assert desk.begun == [KeyAction.SPY]


async def test_the_last_key_wins(desk: Desk) -> None:
    desk.keys.press("4")
    await desk.begins(KeyAction.SPY)
    desk.keys.press("5")
    desk.keys.press("6")
    await desk.rests()
    assert desk.begun == [KeyAction.SPY, KeyAction.BARGE]


async def test_what_is_under_way_takes_back_what_waits(desk: Desk) -> None:
    desk.keys.press("4")
    await desk.begins(KeyAction.SPY)
    desk.keys.press("6")
    desk.keys.press("4")
    await desk.rests()
    assert desk.begun == [KeyAction.SPY]


async def test_next_pressed_twice_is_two_calls_further(desk: Desk) -> None:
    desk.keys.press("*")
    await desk.begins(KeyAction.NEXT)
    desk.keys.press("*")
    await desk.rests()
    assert desk.begun == [KeyAction.NEXT, KeyAction.NEXT]


async def test_who_wants_to_leave_does(desk: Desk) -> None:
    desk.keys.press("6")
    await desk.begins(KeyAction.BARGE)
    desk.keys.press("#")
    desk.keys.press("4")
    desk.let.release()
    await desk.begins(KeyAction.BARGE, KeyAction.LEAVE)
    desk.keys.press("6")
    await desk.rests()
    assert desk.begun == [KeyAction.BARGE, KeyAction.LEAVE]


async def test_what_is_refused_is_told_and_the_next_key_counts(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.error = error = ServerError("Asterisk does not want to")
    with caplog.at_level(logging.WARNING):
        desk.keys.press("6")
        desk.let.release()
        await until(lambda: desk.refused, "it is refused")
    assert desk.refused == [(KeyAction.BARGE, error)]
    assert "Asterisk does not want to" in caplog.text
    desk.keys.press("6")
    await desk.begins(KeyAction.BARGE, KeyAction.BARGE)


async def test_a_fault_of_ours_ends_the_task(desk: Desk) -> None:
    desk.error = ZeroDivisionError()
    desk.keys.press("6")
    desk.let.release()
    with pytest.raises(ZeroDivisionError):
        await desk.task
