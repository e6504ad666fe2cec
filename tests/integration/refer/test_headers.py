"""SIP headers that a program gives to a leg, as a real phone gets them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

import pytest

from bridge.lab.phones import Behaviour
from bridge.lab.phones import CallState as PhoneState
from bridge.model.errors import BadArgumentError
from bridge.model.headers import header_text, user_to_user
from bridge.runtime.transfer_policy import TransferGrant
from bridge.sdk import ActiveCall
from tests.integration.refer.desk import Desk
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

HEADERS = {
    "X-Ticket": 'A-17; urgent=yes, "now" (${EXTEN}) \\ | 100%',
    "X-Name": "Grüße, 日本 😀",
    "X-Summary": header_text("Wants a refund.\r\nVia: nobody\tis\0 polite " + "long " * 300),
    "User-to-User": user_to_user("Größe 12"),
    "P-Asserted-Identity": '"Bob" <sip:+49301234@example.org>',
}


async def _asked(command: Awaitable[object]) -> None:
    await command


async def a_caller(pbx: Pbx) -> ActiveCall:
    return (await pbx.direct_call()).call


@pytest.mark.parametrize("how", ["added", "transferred to"])
async def test_headers_arrive_as_they_were_given(pbx: Pbx, how: str) -> None:
    call = await a_caller(pbx)
    await call.answer()
    phone = await pbx.phone("1004", answer=Behaviour.RING)
    ask = call.add if how == "added" else call.transfer
    asking = asyncio.create_task(_asked(ask("1004", headers=HEADERS)))
    invite = await phone.wait_state(PhoneState.INCOMING)
    try:
        assert {name: invite.header(name) for name in HEADERS} == HEADERS
        assert invite.header("Via") != "nobody"
        assert bytes.fromhex((invite.header("user-to-user") or "").partition(";")[0]).decode() == (
            "Größe 12"
        )
        if how == "transferred to":
            assert invite.header("X-Callbridge-Call-Id") == call.call_id
            assert invite.header("X-Callbridge-Caller") == "1999"
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await call.disconnect()


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "b\r\nX-Evil: c"}, {"X-A": "b\nX-Evil: c"}, {"X-A),SHELL(ls": "b"}, {"From": "me"}],
)
async def test_headers_that_would_be_more_than_that(pbx: Pbx, headers: Mapping[str, str]) -> None:
    call = await a_caller(pbx)
    await call.answer()
    phone = await pbx.phone("1004", answer=Behaviour.RING)
    with pytest.raises(BadArgumentError, match="SIP header"):
        await call.add("1004", headers=headers)
    with pytest.raises(BadArgumentError, match="SIP header"):
        await call.transfer("1004", headers=headers)
    assert phone.calls == ()


async def test_what_a_policy_adds_to_a_transfer_by_phone(pbx: Pbx) -> None:
    desk = await Desk.begin(
        pbx, transfer_policy=lambda _request: TransferGrant(headers={"X-Queue": "sales"})
    )
    target = await pbx.phone("1005", answer=Behaviour.RING)
    await desk.phone.transfer("1005")
    invite = await target.wait_state(PhoneState.INCOMING)
    assert invite.header("X-Queue") == "sales"
    assert invite.header("X-Callbridge-Call-Id") == desk.call.call_id
    assert invite.header("Referred-By") == "<sip:1001@127.0.0.1>"
    await target.hangup()
    assert (await desk.phone.wait_transferred()).code == 603
