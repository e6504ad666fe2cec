"""A key that Asterisk tells of twice was pressed once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bridge.ari import events, models
from bridge.runtime.handset import Keystrokes


def pressed(digit: str, ms: int, *, duration: int = 100, channel: str = "1") -> Any:
    return events.ChannelDtmfReceived(
        application="callbridge",
        timestamp=f"2026-11-20T12:33:{ms // 1000:02d}.{ms % 1000:03d}+0000",
        digit=digit,
        duration_ms=duration,
        channel=_channel(channel),
    )


def _channel(channel_id: str) -> models.Channel:
    party = {"name": "", "number": ""}
    return msgspec.convert(
        {
            "id": channel_id,
            "name": "PJSIP/1001-1",
            "state": "Up",
            "protocol_id": "",
            "accountcode": "",
            "creationtime": "",
            "language": "en",
            "caller": party,
            "connected": party,
            "dialplan": {
                "context": "",
                "exten": "",
                "priority": 1,
                "app_name": "",
                "app_data": "",
            },
        },
        models.Channel,
    )


def told(*presses: events.ChannelDtmfReceived) -> str:
    keystrokes = Keystrokes()
    return "".join(press.digit for press in presses if keystrokes.is_new(press))


def test_told_again_while_it_must_still_have_been_pressed() -> None:
    assert told(pressed("4", 0, duration=200), pressed("4", 20, duration=200)) == "4"
    assert told(pressed("4", 0, duration=50), pressed("4", 45, duration=50)) == "4"
    assert told(pressed("4", 0), pressed("5", 60), pressed("4", 80), pressed("5", 120)) == "45"


@pytest.mark.parametrize("pause", [40, 60, 500])
def test_pressed_again_after_a_pause(pause: int) -> None:
    assert told(*(pressed("4", n * (100 + pause)) for n in range(4))) == "4444"
    # The first of them was told late.
    assert told(pressed("4", 35), pressed("4", 100 + pause)) == "44"


def test_another_phone_and_another_key() -> None:
    assert told(pressed("4", 0), pressed("4", 0, channel="2"), pressed("5", 0)) == "445"


def test_without_a_time_every_key_counts() -> None:
    event = msgspec.structs.replace(pressed("4", 0), timestamp="")
    assert told(event, event) == "44"


def test_what_is_remembered_is_bounded() -> None:
    keystrokes = Keystrokes()
    assert all(keystrokes.is_new(pressed("4", 0, channel=str(n))) for n in range(5000))
    assert not keystrokes.is_new(pressed("4", 10, channel="4999"))
    assert len(keystrokes._pressed) <= 1000
