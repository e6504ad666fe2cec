"""How a transfer is asked for: what is no transfer is refused before anything happens."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.model.errors import BadArgumentError
from bridge.model.participants import AGENT, CALLEE
from bridge.sdk.transfer import TransferOptions, rounds_of


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accept_key": "12"}, "accept_key"),
        ({"accept_key": ""}, "accept_key"),
        ({"decline_key": "x"}, "decline_key"),
        ({"accept_key": "5", "decline_key": "5"}, "two keys"),
        ({"accept": "knock"}, "'key' or 'answer'"),
        ({"hold": "never"}, "'at_once' or 'on_accept'"),
        ({"ring_time_seconds": 0}, "at least 1"),
        ({"accept_seconds": 0}, "more than 0"),
        ({"warm": False, "consult": True}, "blind"),
        ({"music": "a b"}, "music"),
        ({"headers": {"From": "me"}}, "SIP header"),
    ],
)
def test_what_is_no_transfer(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadArgumentError, match=message):
        TransferOptions(**options)


def test_no_key_declines() -> None:
    assert TransferOptions(decline_key="").decline_key == ""


@pytest.mark.parametrize(
    ("options", "by", "consults", "by_key"),
    [
        ({}, AGENT, False, True),
        ({}, CALLEE, True, False),
        ({"consult": True}, AGENT, True, False),
        ({"consult": False}, CALLEE, False, True),
        ({"consult": True, "accept": "key"}, AGENT, True, True),
        ({"warm": False}, AGENT, False, False),
        ({"warm": False}, CALLEE, False, False),
        ({"accept": "answer"}, AGENT, False, False),
    ],
)
def test_who_talks_with_the_human_and_how_he_accepts(
    options: dict[str, Any], by: Any, *, consults: bool, by_key: bool
) -> None:
    chosen = TransferOptions(**options)
    assert (chosen.consults(by), chosen.by_key(by)) == (consults, by_key)


@pytest.mark.parametrize(
    ("targets", "together", "rounds"),
    [
        ("1003", False, [["1003"]]),
        (["1003", "1004"], False, [["1003"], ["1004"]]),
        (["1003", "1004"], True, [["1003", "1004"]]),
        ([["1003", "1004"], "1005"], False, [["1003", "1004"], ["1005"]]),
        ([["1003", "1004"], "1005"], True, [["1003", "1004", "1005"]]),
    ],
)
def test_who_rings_when(targets: Any, rounds: list[list[str]], *, together: bool) -> None:
    assert rounds_of(targets, together=together) == rounds


@pytest.mark.parametrize(("targets", "together"), [([], False), ([[]], False), ([], True)])
def test_nobody(targets: Any, *, together: bool) -> None:
    with pytest.raises(BadArgumentError, match="nobody"):
        rounds_of(targets, together=together)
