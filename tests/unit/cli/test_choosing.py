"""Which call and which party are meant."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bridge.cli.choosing import chosen, party_of, shown_call, shown_party
from bridge.model.errors import AmbiguousCallError, BadArgumentError, CallNotFoundError
from bridge.model.states import CallState
from bridge.protocol.views import CallView, PartyView


def call(call_id: str, *extensions: str, since: float = 0.0) -> CallView:
    names = ("caller", "callee", "party3")
    parties = tuple(
        PartyView(name=name, endpoint=f"PJSIP/{extension}", number=f"+49{extension}")
        for name, extension in zip(names, extensions, strict=False)
    )
    return CallView(
        call_id=call_id,
        tenant="default",
        own=False,
        since=since,
        state=CallState.CONNECTED,
        parties=parties,
    )


CALLS = [
    call("02a01b", "1001", "1002", since=3.0),
    call("02ffee", "1003", "trunk@provider", since=9.0),
    call("1001aa", "1004", "1005", since=5.0),
]


@pytest.mark.parametrize(
    ("text", "call_id"),
    [
        ("02a01b", "02a01b"),
        ("02a", "02a01b"),
        ("02f", "02ffee"),
        ("1002", "02a01b"),
        ("PJSIP/1003", "02ffee"),
        ("pjsip/1003", "02ffee"),
        ("trunk", "02ffee"),
        ("+491005", "1001aa"),
        ("1001", "02a01b"),
        ("1001a", "1001aa"),
        ("latest", "02ffee"),
    ],
)
def test_a_call_is_meant(text: str, call_id: str) -> None:
    assert chosen(CALLS, text).call_id == call_id


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ({"held": True}, "1001 (held)"),
        ({"on_hold": True}, "1001 (held)"),
        ({"held": True, "parked": True}, "1001 (parked)"),
        ({"on_hold": True, "parked": True, "muted": True}, "1001 (muted,parked)"),
    ],
)
def test_who_is_parked_is_not_shown_as_held(flags: dict[str, bool], shown: str) -> None:
    assert shown_party(replace(CALLS[0].parties[0], **flags)) == shown


def test_what_means_none_or_several_is_told() -> None:
    with pytest.raises(CallNotFoundError, match="02a01b 1001 ↔ 1002; 02ffee"):
        chosen(CALLS, "4711")
    with pytest.raises(AmbiguousCallError, match="one of 2 calls"):
        chosen(CALLS, "02")
    with pytest.raises(AmbiguousCallError):
        chosen([*CALLS, call("beef", "1002", "1009")], "1002")
    for nothing in ("latest", "", "02"):
        with pytest.raises(CallNotFoundError, match="no call at all"):
            chosen([], nothing)
    with pytest.raises(CallNotFoundError):
        chosen(CALLS, "")


def test_a_party_is_meant_by_his_name_or_phone() -> None:
    one = CALLS[0]
    assert [party_of(one, text) for text in ("caller", "1001", "+491001", "PJSIP/1001")] == [
        "caller"
    ] * 4
    with pytest.raises(BadArgumentError, match=r"caller \(PJSIP/1001\), callee"):
        party_of(one, "1009")
    with pytest.raises(BadArgumentError, match="may be several"):
        party_of(call("x", "1001", "1001"), "1001")


def test_a_call_is_shown_on_one_line() -> None:
    assert shown_call(CALLS[0]) == "02a01b 1001 ↔ 1002"
    assert shown_call(call("x")) == "x"
