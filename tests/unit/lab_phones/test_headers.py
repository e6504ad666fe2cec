"""Unit: the headers of a SIP message as a phone reads them."""

from __future__ import annotations

from bridge.lab.phones import CallInfo, CallState, Direction
from bridge.lab.phones.worker.message import headers_of

_INVITE = (
    "INVITE sip:1004@127.0.0.1 SIP/2.0\r\n"
    "f: <sip:1001@127.0.0.1>;tag=1\r\n"
    "X-Summary: wants: a refund\r\n"
    "X-Long: one\r\n"
    "\t two\r\n"
    "X-Empty:\r\n"
    "X-Summary: again\r\n"
    "\r\n"
    "v=0: no header\r\n"
)


def test_names_and_values_in_their_order() -> None:
    assert headers_of(_INVITE) == (
        ("From", "<sip:1001@127.0.0.1>;tag=1"),
        ("X-Summary", "wants: a refund"),
        ("X-Long", "one two"),
        ("X-Empty", ""),
        ("X-Summary", "again"),
    )


def test_no_headers() -> None:
    assert headers_of("") == headers_of("INVITE sip:1 SIP/2.0") == ()


def test_the_first_of_a_name_in_any_case() -> None:
    call = CallInfo(
        call_id=1,
        direction=Direction.IN,
        remote="",
        state=CallState.INCOMING,
        reached=(),
        headers=headers_of(_INVITE),
    )
    assert call.header("x-summary") == "wants: a refund"
    assert call.header("X-Empty") == ""
    assert call.header("X-None") is None
