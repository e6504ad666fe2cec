"""Messages and answers as bytes."""

from __future__ import annotations

import json

import pytest

from bridge.ari import events, models
from bridge.ari.refs import ResourceRef
from bridge.ari.resource import Resource, query_pairs, segment
from bridge.ari.wire import (
    Answer,
    UndecodableMessageError,
    decode_message,
    encode_request,
    read_answer,
)
from bridge.model.errors import AuthenticationError, RequestFailedError

HEAD = {"application": "callbridge", "timestamp": "2026-01-01T00:00:00.000+0000"}


def channel(identity: str) -> dict[str, object]:
    return {
        "id": identity,
        "name": f"PJSIP/{identity}",
        "state": "Up",
        "protocol_id": "",
        "caller": {"name": "", "number": "1001"},
        "connected": {"name": "", "number": ""},
        "accountcode": "",
        "dialplan": {
            "context": "phones",
            "exten": "1002",
            "priority": 1,
            "app_name": "Stasis",
            "app_data": "",
        },
        "creationtime": "2026-01-01T00:00:00.000+0000",
        "language": "en",
    }


def bridge(identity: str) -> dict[str, object]:
    return {
        "id": identity,
        "technology": "simple_bridge",
        "bridge_type": "mixing",
        "bridge_class": "stasis",
        "creator": "Stasis",
        "name": "",
        "channels": [],
        "creationtime": "2026-01-01T00:00:00.000+0000",
    }


def message(kind: str, **fields: object) -> events.AnyMessage:
    return decode_message(json.dumps({"type": kind, **HEAD, **fields}))


def test_a_request() -> None:
    data = encode_request("7", "POST", "channels/c/mute", [("direction", "out")], '{"a":1}')
    assert json.loads(data) == {
        "type": "RESTRequest",
        "transaction_id": "7",
        "request_id": "7",
        "method": "POST",
        "uri": "channels/c/mute",
        "query_strings": [{"name": "direction", "value": "out"}],
        "content_type": "application/json",
        "message_body": '{"a":1}',
    }


def test_a_request_without_anything() -> None:
    data = json.loads(encode_request("7", "GET", "channels", [], None))
    assert set(data) == {"type", "transaction_id", "request_id", "method", "uri"}


def test_queries() -> None:
    query = {"a": True, "b": False, "c": None, "d": 7, "e": ["x", "y"], "f": "x y&z"}
    assert query_pairs(query) == [
        ("a", "true"),
        ("b", "false"),
        ("d", "7"),
        ("e", "x,y"),
        ("f", "x y&z"),
    ]
    assert query_pairs(None) == []


def test_a_part_of_a_path_is_quoted_whole() -> None:
    assert segment("PJSIP/1001 a%b?c#d") == "PJSIP%2F1001%20a%25b%3Fc%23d"


def test_stasis_start() -> None:
    event = message("StasisStart", args=["incoming", "1002"], channel=channel("c-1"))
    assert isinstance(event, events.StasisStart)
    assert event.args == ("incoming", "1002")
    assert event.channel.caller == models.CallerID(name="", number="1001")
    assert event.replace_channel is None
    assert event.touches() == (ResourceRef("channel", "c-1"),)


def test_what_events_touch() -> None:
    entered = message("ChannelEnteredBridge", bridge=bridge("b"), channel=channel("c"))
    assert (entered.channel_ids(), entered.bridge_ids()) == (("c",), ("b",))
    dial = message("Dial", dialstatus="", caller=channel("a"), peer=channel("b"))
    assert dial.channel_ids() == ("a", "b")
    same = message("Dial", dialstatus="", caller=channel("a"), peer=channel("a"))
    assert same.channel_ids() == ("a",)
    playback = {"id": "p", "media_uri": "sound:x", "target_uri": "bridge:b", "state": "playing"}
    started = message("PlaybackStarted", playback=playback)
    assert started.touches() == (ResourceRef("playback", "p"), ResourceRef("bridge", "b"))
    assert message("ApplicationReplaced").touches() == ()
    endpoint = {"technology": "PJSIP", "resource": "1001", "channel_ids": []}
    changed = message("EndpointStateChange", endpoint=endpoint)
    assert changed.touches() == (ResourceRef("endpoint", "PJSIP/1001"),)


def test_what_a_transfer_touches() -> None:
    transfer = message(
        "ChannelTransfer",
        state="channel_progress",
        refer_to={"requested_destination": {}, "connected_channel": channel("c")},
        referred_by={"source_channel": channel("s"), "bridge": bridge("b")},
    )
    assert transfer.channel_ids() == ("c", "s")
    assert transfer.bridge_ids() == ("b",)
    attended = message(
        "BridgeAttendedTransfer",
        transferer_first_leg=channel("f"),
        transferer_second_leg=channel("g"),
        result="Success",
        is_external=True,
        destination_type="bridge",
        destination_bridge="d",
    )
    assert (attended.channel_ids(), attended.bridge_ids()) == (("f", "g"), ("d",))


def test_a_text_message_keeps_its_reserved_words() -> None:
    event = message("TextMessageReceived", message={"from": "a", "to": "b", "body": "hello"})
    assert isinstance(event, events.TextMessageReceived)
    assert (event.message.from_, event.message.to) == ("a", "b")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"type":"Invented"}', "Invented"),
        ('{"type":"StasisStart"}', "StasisStart"),
        ('{"kind":"StasisStart"}', "<no type>"),
        ("nothing", "<not JSON>"),
        ('"text"', "<not JSON>"),
        ('{"type":7}', "<not JSON>"),
    ],
)
def test_what_is_not_understood(text: str, kind: str) -> None:
    with pytest.raises(UndecodableMessageError) as caught:
        decode_message(text)
    assert caught.value.kind == kind


def test_answers() -> None:
    def read(status: int, body: bytes | str) -> object:
        return read_answer(Answer(status, "Phrase", body), "GET", "channels/c", "http://x")

    assert read(204, b"") is None
    assert read(200, '{"a":[1]}') == {"a": [1]}
    with pytest.raises(RequestFailedError, match="GET channels/c: 404 Channel not found"):
        read(404, b'{"message":"Channel not found"}')
    with pytest.raises(RequestFailedError, match="500 Phrase"):
        read(500, b"<html>")
    with pytest.raises(RequestFailedError, match="400 Phrase"):
        read(400, b"[]")
    with pytest.raises(RequestFailedError, match="is not JSON"):
        read(200, b"\xff")
    with pytest.raises(AuthenticationError):
        read(401, b'{"message":"Authentication required"}')


def test_an_answer_of_another_shape_is_an_error() -> None:
    with pytest.raises(RequestFailedError, match="is not a Variable"):
        Resource._decode({"value": 7}, models.Variable)
