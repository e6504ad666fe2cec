import logging
from collections.abc import Callable

import pytest

from bridge.runtime.listeners import tell

log = logging.getLogger("a teller")


def test_one_who_fails_is_logged_and_keeps_nobody_else_from_hearing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[tuple[str, int]] = []

    def fail(_what: str, *, times: int) -> None:
        raise ValueError(f"{times} times")

    def hear(what: str, *, times: int) -> None:
        heard.append((what, times))

    tell([hear, fail, hear], log, "who reads along", "news", times=2)
    assert heard == [("news", 2)] * 2
    assert [one.getMessage() for one in caplog.records] == ["who reads along failed"]
    assert caplog.records[0].name == "a teller"
    assert "2 times" in caplog.text


def test_who_leaves_while_others_are_told_is_told_and_skips_nobody() -> None:
    told: list[str] = []
    listeners: list[Callable[[], None]] = []

    def leave() -> None:
        told.append("first")
        listeners.remove(leave)

    listeners += [leave, lambda: told.append("second")]
    tell(listeners, log, "who leaves")
    tell(listeners, log, "who stays")
    assert told == ["first", "second", "second"]
