from __future__ import annotations

import pytest

from bridge.lab.asterisk.requirements import is_recent_enough, parse_version


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Asterisk 22.10.1+dfsg+~cs6.17.60671434-1", (22, 10, 1)),
        ("Asterisk 16.28.0~dfsg-0+deb11u4", (16, 28, 0)),
        ("Asterisk 22.11.0-rc2", (22, 11, 0)),
        ("Asterisk certified/20.7-cert5", (20, 7, 0)),
        ("Asterisk GIT-22-a1b2c3", None),
        ("", None),
    ],
)
def test_version_is_read_from_what_the_program_says(
    said: str, version: tuple[int, int, int] | None
) -> None:
    assert parse_version(said) == version


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ((16, 28, 0), False),
        ((18, 26, 4), False),
        ((20, 15, 9), False),
        ((20, 16, 0), True),
        ((21, 12, 0), False),
        ((22, 5, 2), False),
        ((22, 6, 0), True),
        ((22, 10, 1), True),
        ((23, 0, 0), True),
    ],
)
def test_media_over_websocket_decides(version: tuple[int, int, int], *, enough: bool) -> None:
    assert is_recent_enough(version) is enough
