"""What a request says, and what is wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
from unittest.mock import Mock

import msgspec
import pytest
from aiohttp import StreamReader, web
from aiohttp.http_exceptions import ContentEncodingError, TransferEncodingError
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from bridge.api.decoding import DEPTH, FieldsError, decoded, optional, raw_body_of
from bridge.protocol.operations import OPERATIONS, ORIGINATE
from bridge.protocol.requests import (
    AddParty,
    Announce,
    ChangeMode,
    Connect,
    Leave,
    Originate,
    Request,
    SaveContext,
    Say,
    StartTransfer,
)


def fields_of(raw: bytes, kind: type = Originate) -> list[str]:
    with pytest.raises(FieldsError) as caught:
        decoded(raw, kind)
    assert all(field.message for field in caught.value.fields)
    return [field.at for field in caught.value.fields]


def test_a_body_is_what_it_says() -> None:
    assert decoded(b' {"to": "1002"} ', Originate) == Originate(to="1002")
    assert decoded(b"", Connect) == Connect()


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        (b"{}", "$.to"),
        (b'{"to":"1","nope":1}', "$.nope"),
        (b'{"to":""}', "$.to"),
        (b'{"to":5}', "$.to"),
        (b'{"to":"1","ring_time_seconds":0}', "$.ring_time_seconds"),
        (b'{"to":"1","headers":{"a":1}}', "$.headers[...]"),
        (b'{"to":"a\\u0000b"}', "$.to"),
        (b'{"to":"1","headers":{"a\\u0000":"b"}}', "$.headers"),
        (b'{"to":"1","headers":{"a":"\\u0000"}}', "$.headers.a"),
        (b"[]", "$"),
        (b"nope", "$"),
        (b'{"to":"1"', "$"),
        (b'{"to":"1"} {}', "$"),
        (b'{"to":"\xff"}', "$"),
        (b'{"to":"\\ud800"}', "$"),
        (b"\xef\xbb\xbf{}", "$"),
    ],
)
def test_what_is_wrong_is_said_by_its_path(raw: bytes, at: str) -> None:
    assert fields_of(raw) == [at]


@pytest.mark.parametrize("voice", ["-q", "--stdout", "a b", "../x", "\u00e9"])
def test_a_voice_is_no_option_of_the_command(voice: str) -> None:
    assert fields_of(msgspec.json.encode({"text": "x", "voice": voice}), Say) == ["$.voice"]
    assert decoded(b'{"text":"x","voice":"en-us+f3"}', Say).voice == "en-us+f3"


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (AddParty, "name", "expert"),
        (Announce, "sound", "sound:beep"),
        (Say, "voice", "en"),
        (StartTransfer, "accept_key", "1"),
        (StartTransfer, "decline_key", "2"),
    ],
)
def test_nothing_that_is_a_word_ends_with_a_line_feed(
    kind: type[Request], field: str, value: str
) -> None:
    needed: dict[type, dict[str, object]] = {
        AddParty: {"to": "1"},
        Say: {"text": "x"},
        StartTransfer: {"to": [["1"]]},
    }
    given = needed.get(kind, {}) | {field: value}
    assert getattr(decoded(msgspec.json.encode(given), kind), field) == value
    given[field] = value + "\n"
    assert fields_of(msgspec.json.encode(given), kind) == [f"$.{field}"]


def test_a_path_leads_into_lists() -> None:
    assert fields_of(b'{"to":[["1"],[""]]}', StartTransfer) == ["$.to[1][0]"]


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        (b'{"values":{"a":[1,{"b":"\\u0000"}]}}', "$.values.a[1].b"),
        (b'{"values":{"a":9223372036854775808}}', "$.values.a"),
        (b'{"values":{"a":1e999}}', "$.values[...]"),
        (b'{"values":{"a":NaN}}', "$"),
        (b'{"values":' + b'{"a":' * (DEPTH + 1) + b"1" + b"}" * (DEPTH + 1) + b"}", "$"),
        (b'{"values":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "$"),
        (b'{"values":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "$"),
    ],
)
def test_what_no_database_keeps_is_refused(raw: bytes, at: str) -> None:
    assert fields_of(raw, SaveContext) == [at]


def test_many_faults_are_told_but_not_all_of_a_thousand() -> None:
    raw = b'{"values":{"a":[' + b",".join([b'"\\u0000"'] * 1000) + b"]}}"
    assert len(fields_of(raw, SaveContext)) == 20


def test_a_body_may_be_left_out_where_all_of_it_may() -> None:
    assert optional(Leave)
    assert optional(Connect)
    assert not optional(Originate)
    assert not optional(ChangeMode)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_body_or_an_error(raw: bytes) -> None:
    for kind in {operation.body for operation in OPERATIONS if operation.body is not None}:
        with contextlib.suppress(FieldsError):
            assert isinstance(decoded(raw, kind), kind)


@pytest.mark.parametrize(
    "fault",
    [
        ConnectionResetError("gone"),
        ContentEncodingError("x"),
        TransferEncodingError("x"),
        web.RequestPayloadError("half"),
    ],
)
async def test_what_does_not_come_whole_is_the_senders_fault(fault: Exception) -> None:
    content = StreamReader(Mock(), 1 << 16, loop=asyncio.get_running_loop())
    content.feed_data(b"{")
    content.set_exception(fault)
    with pytest.raises(FieldsError, match="did not come whole"):
        await raw_body_of(make_mocked_request("POST", "/", payload=content), ORIGINATE)
