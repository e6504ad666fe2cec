from __future__ import annotations

import pytest

from bridge.media.socket import format_command, parse_control


@pytest.mark.parametrize(
    ("text", "event", "fields"),
    [
        ("MEDIA_XOFF", "MEDIA_XOFF", {}),
        ("MEDIA_MARK_PROCESSED 17", "MEDIA_MARK_PROCESSED", {"correlation_id": "17"}),
        (
            "MEDIA_START connection_id:c-1 channel:WebSocket/c-1/0x5 optimal_frame_size:640",
            "MEDIA_START",
            {
                "connection_id": "c-1",
                "channel": "WebSocket/c-1/0x5",
                "optimal_frame_size": "640",
            },
        ),
        (
            "ERROR channel_id:x error_text:FLUSH not supported: never",
            "ERROR",
            {"channel_id": "x", "error_text": "FLUSH not supported: never"},
        ),
        (
            '{"event":"STATUS","queue_length":3,"queue_full":false}',
            "STATUS",
            {"queue_length": "3", "queue_full": "false"},
        ),
        (
            '{"event":"MEDIA_MARK_PROCESSED","channel_id":"x","correlation_id":"17"}',
            "MEDIA_MARK_PROCESSED",
            {"channel_id": "x", "correlation_id": "17"},
        ),
    ],
)
def test_control_messages_of_both_formats(text: str, event: str, fields: dict[str, str]) -> None:
    assert parse_control(text) == (event, fields)


def test_broken_json_is_told() -> None:
    with pytest.raises(ValueError, match="not a control message"):
        parse_control('{"event":')


def test_commands_of_both_formats() -> None:
    assert format_command("FLUSH_MEDIA", None, "plain-text") == "FLUSH_MEDIA"
    assert format_command("MARK_MEDIA", "9", "plain-text") == "MARK_MEDIA 9"
    assert (
        format_command("MARK_MEDIA", "9", "json") == '{"command":"MARK_MEDIA","correlation_id":"9"}'
    )


@pytest.mark.parametrize("control", ["plain-text", "json"])
def test_a_command_that_asterisk_would_drop_is_refused(control: str) -> None:
    with pytest.raises(ValueError, match="128 bytes"):
        format_command("MARK_MEDIA", "9" * 118, "json" if control == "json" else "plain-text")
