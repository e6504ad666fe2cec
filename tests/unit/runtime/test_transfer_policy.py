"""Unit: who may transfer a call, how, and to whom; and what is written down of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bridge.model.errors import BadArgumentError, TransferDeniedError
from bridge.model.ids import CallId
from bridge.model.participants import AGENT, CALLEE
from bridge.runtime import transfer_policy
from bridge.runtime.audit import Audit
from bridge.runtime.transfer_policy import (
    Permit,
    PhonePolicy,
    Policy,
    TransferGrant,
    TransferKind,
    TransferPolicy,
    TransferRequest,
    TransferRules,
    TransferSource,
    Verdict,
)
from bridge.sdk.routing import endpoint_for

BY_PHONE = TransferRequest(
    CallId("c1"), CALLEE, "1004", TransferKind.BLIND, TransferSource.PHONE, "PJSIP/1002"
)
BY_PROGRAM = TransferRequest(
    CallId("c1"), AGENT, "PJSIP/agent", TransferKind.BLIND, TransferSource.PROGRAM
)


def dial(target: str, dialled: str) -> str:
    return endpoint_for(target, "PJSIP/{number}", dialled=dialled)


def policy(decide: Policy | None = None, phones: PhonePolicy | None = None) -> TransferPolicy:
    return TransferPolicy(TransferRules(decide, phones or PhonePolicy(), dial), Audit())


def results(asked: TransferPolicy) -> list[tuple[str, str, str]]:
    records = asked._audit.records
    return [(record.what, record.by, record.result) for record in records]


def altered(
    request: TransferRequest, target: str, kind: TransferKind = TransferKind.BLIND
) -> TransferRequest:
    return TransferRequest(
        request.call_id, request.by, target, kind, request.source, request.endpoint
    )


@pytest.mark.parametrize(
    ("allowed", "endpoint", "verdict"),
    [
        (None, "PJSIP/1002", True),
        (None, "PJSIP/provider", False),
        (None, "PJSIP/1002x", False),
        (None, "IAX2/1002", False),
        (None, "", False),
        (True, "PJSIP/provider", True),
        (False, "PJSIP/1002", False),
        (["1003", "SIP/1"], "PJSIP/1003", True),
        (["1003", "SIP/1"], "SIP/1", True),
        (["1003", "SIP/1"], "PJSIP/1002", False),
        ([], "PJSIP/1002", False),
    ],
)
def test_whose_phones_may(
    *, allowed: list[str] | bool | None, endpoint: str, verdict: bool
) -> None:
    assert PhonePolicy(allowed=allowed).allows(endpoint) is verdict


def test_a_string_is_no_list_of_phones() -> None:
    with pytest.raises(BadArgumentError, match=r"give a list, \['1003'\]"):
        PhonePolicy(allowed="1003")


async def test_by_default_what_can_be_dialled_is_allowed() -> None:
    asked = policy()
    assert await asked.ask(BY_PHONE) == Permit("1004", "PJSIP/1004")
    assert await asked.ask(BY_PROGRAM) == Permit("PJSIP/agent", "PJSIP/agent")
    asked.note_end(BY_PHONE, "completed")
    assert results(asked) == [
        ("blind transfer to 1004", "phone", "allowed"),
        ("blind transfer to PJSIP/agent", "program", "allowed"),
        ("blind transfer to 1004", "phone", "completed"),
    ]


@pytest.mark.parametrize("source", [TransferSource.PHONE, TransferSource.FEATURE_KEYS])
@pytest.mark.parametrize("target", ["", "PJSIP/49123@trunk", "Local/1@any", "1004&1005", "1004,t"])
async def test_a_phone_dials_numbers_alone(source: TransferSource, target: str) -> None:
    asked = policy()
    request = TransferRequest(
        CallId("c1"), CALLEE, target, TransferKind.BLIND, source, "PJSIP/1002"
    )
    with pytest.raises(TransferDeniedError, match="no number that can be dialled"):
        await asked.ask(request)
    assert "no number" in results(asked)[0][2]


@pytest.mark.parametrize("source", [TransferSource.PHONE, TransferSource.FEATURE_KEYS])
async def test_a_phone_that_may_not(source: TransferSource) -> None:
    asked = policy(lambda _request: True, PhonePolicy(allowed=["1003"]))
    request = TransferRequest(
        CallId("c1"), CALLEE, "1004", TransferKind.BLIND, source, "PJSIP/1002"
    )
    with pytest.raises(TransferDeniedError, match="allow it by phone_transfers"):
        await asked.ask(request)
    assert (await asked.ask(BY_PROGRAM)).endpoint == "PJSIP/agent"


async def _yes(_request: TransferRequest) -> Verdict:
    return True


async def _no(_request: TransferRequest) -> Verdict:
    return False


@pytest.mark.parametrize(
    ("decide", "permit"),
    [
        (lambda _: True, Permit("1004", "PJSIP/1004")),
        (_yes, Permit("1004", "PJSIP/1004")),
        (lambda _: "1005", Permit("1005", "PJSIP/1005")),
        (lambda _: "PJSIP/49@trunk", Permit("PJSIP/49@trunk", "PJSIP/49@trunk")),
        (
            lambda _: TransferGrant(headers={"X-A": "b"}, ring_time_seconds=7),
            Permit("1004", "PJSIP/1004", (("X-A", "b"),), 7),
        ),
    ],
)
async def test_what_a_policy_says(
    decide: Callable[[TransferRequest], Verdict | Awaitable[Verdict]], permit: Permit
) -> None:
    asked = policy(decide)
    assert await asked.ask(BY_PHONE) == permit
    other = f", sent to {permit.target}" if permit.target != "1004" else ""
    assert results(asked) == [(f"blind transfer to 1004{other}", "phone", "allowed")]


@pytest.mark.parametrize("decide", [lambda _: False, _no, lambda _: None, lambda _: 1])
async def test_all_else_is_a_no(decide: Policy) -> None:
    asked = policy(decide)
    with pytest.raises(TransferDeniedError, match="does not let callee transfer"):
        await asked.ask(BY_PHONE)
    assert "does not let" in results(asked)[0][2]


async def test_a_policy_that_fails_is_a_no() -> None:
    def broken(_request: TransferRequest) -> Verdict:
        raise KeyError("tenant")

    with pytest.raises(TransferDeniedError, match="policy failed: 'tenant'"):
        await policy(broken).ask(BY_PHONE)


async def test_a_policy_that_takes_too_long_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(_request: TransferRequest) -> Verdict:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(transfer_policy, "POLICY_SECONDS", 0.01)
    with pytest.raises(TransferDeniedError, match="TimeoutError"):
        await policy(slow).ask(BY_PHONE)


async def test_headers_of_a_policy_are_looked_at() -> None:
    asked = policy(lambda _: TransferGrant(headers={"X-A": "b\r\nVia: c"}))
    with pytest.raises(BadArgumentError, match="line break"):
        await asked.ask(BY_PHONE)
    assert "line break" in results(asked)[0][2]


async def test_who_is_on_the_line_already_is_not_dialled() -> None:
    request = altered(BY_PHONE, "any thing", TransferKind.ATTENDED)
    assert await policy().ask(request) == Permit("any thing", "")
    with pytest.raises(TransferDeniedError, match="cannot be another"):
        await policy(lambda _: "1005").ask(request)
