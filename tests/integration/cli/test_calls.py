"""Commands about calls, on real ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.lab.phones import Behaviour, CallState, Phone
from bridge.lab.waiting import until
from bridge.sdk import events
from tests.support.commands import Shell
from tests.support.daemon import RunningApi
from tests.support.pbx import CALLER_TONE, Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


async def call_id_at(shell: Shell, extension: str) -> str:
    """Wait until somebody's call is listed; return its id."""
    found: list[Any] = []

    async def listed() -> bool:
        found[:] = await shell.json("calls", "--at", extension)
        return bool(found)

    await until_true(listed, f"a call of {extension} is listed", within_s=15)
    return str(found[0]["call_id"])


async def test_calls_are_listed_shown_and_hung_up(
    shell: Shell, talking: tuple[Phone, Phone]
) -> None:
    caller, callee = talking
    call_id = await call_id_at(shell, "1002")
    [line] = [line for line in (await shell.done("calls")).splitlines() if call_id in line]
    assert "1001, 1002" in line
    assert "\x1b" not in line, "no colours in a pipe"
    shown = await shell.done("show", call_id[:6])
    assert "PJSIP/1001" in shown
    [of_caller] = await shell.json("show", "1001")
    [newest] = await shell.json("show", "latest")
    assert of_caller["call_id"] == newest["call_id"] == call_id
    assert {p["endpoint"] for p in of_caller["parties"]} == {"PJSIP/1001", "PJSIP/1002"}

    assert call_id in await shell.done("hangup", "1001")
    for phone in (caller, callee):
        await phone.wait_state(CallState.DISCONNECTED)
    await until_nothing(shell)
    assert (await shell.json("calls")) == []


async def until_nothing(shell: Shell) -> None:
    async def nothing() -> bool:
        return not await shell.json("calls")

    await until_true(nothing, "no call is listed", within_s=15)


async def test_what_is_not_there_and_not_allowed_has_its_exit_code(
    api: RunningApi, shell: Shell
) -> None:
    missing = await shell("show", "4711")
    assert (missing.code, missing.out) == (3, "")
    assert "no call is meant by '4711'" in missing.err
    denied = await Shell(api, "observer")("originate", "1001")
    assert (denied.code, denied.out) == (4, "")
    stranger = await shell("calls", "--key", "wrong")
    assert stranger.code == 4
    assert "callbridge keys create" in stranger.err
    nobody = await shell("calls", "--url", "http://127.0.0.1:9")
    assert nobody.code == 5
    assert (await shell("calls", "--limit-of-nothing")).code == 2
    assert (await shell("park")).code == 2


async def test_a_call_of_our_own_is_placed_held_muted_and_grown(pbx: Pbx, shell: Shell) -> None:
    phones = [await pbx.phone(number, source=CALLER_TONE) for number in ("1001", "1002", "1003")]
    [placed] = await shell.json("originate", "1001", "--connect", "1002", "--caller-id", "4711")
    assert placed["state"] == "CONNECTED"
    await shell.done("hold", "1002", "caller")
    [held] = await shell.json("show", "1001")
    assert [p["held"] for p in held["parties"]] == [True, False]
    await shell.done("unhold", "1002", "1001")
    await shell.done("mute", "latest", "1002")
    [muted] = await shell.json("show", "1001")
    assert [(p["held"], p["muted"]) for p in muted["parties"]] == [(False, False), (False, True)]
    await shell.done("unmute", "latest", "callee")
    assert await shell.done("add", "1001", "1003", "--name", "expert") == "expert has joined\n"
    await phones[2].wait_state(CallState.CONFIRMED)
    assert "expert" in await shell.done("remove", "1001", "1003")
    await phones[2].wait_state(CallState.DISCONNECTED)
    nobody = await shell("mute", "1001", "1009")
    assert nobody.code == 2
    assert "caller (PJSIP/1001)" in nobody.err
    await shell.done("hangup", "1001")
    await until(lambda: phones[0].state is CallState.DISCONNECTED, "the caller is hung up")


async def test_a_party_waits_in_a_slot(pbx: Pbx, shell: Shell) -> None:
    phone = await pbx.phone("1001", source=CALLER_TONE)
    await shell.done("originate", "1001")
    assert await shell.done("park", "1001", "--slot", "7104") == "parked: dial 7104\n"
    assert "7104" in await shell.done("parked")
    assert "1001 (parked)" in await shell.done("calls")
    await shell.done("unpark", "1001")
    assert await shell.json("parked") == []
    await shell.done("hangup", "1001")
    await phone.wait_state(CallState.DISCONNECTED)


async def test_a_transfer_that_nobody_takes_fails_and_one_that_is_taken_does_not(
    pbx: Pbx, shell: Shell
) -> None:
    caller = await pbx.phone("1001", source=CALLER_TONE)
    await pbx.phone("1002", answer=Behaviour.BUSY)
    human = await pbx.phone("1003")
    await shell.done("originate", "1001")
    refused = await shell("transfer", "1001", "1002")
    assert refused.code == 1
    assert "CALL_BUSY" in refused.err
    [taken] = await shell.json("transfer", "1001", "1003", "--blind")
    assert taken["outcome"] == "completed"
    await human.wait_state(CallState.CONFIRMED)
    assert caller.state is CallState.CONFIRMED
    await human.hangup()
    await caller.wait_state(CallState.DISCONNECTED)


async def test_a_transfer_whose_customer_hangs_up_has_failed(pbx: Pbx, shell: Shell) -> None:
    caller = await pbx.phone("1001", source=CALLER_TONE)
    human = await pbx.phone("1003", answer=Behaviour.RING)
    await shell.done("originate", "1001")
    transferring = asyncio.create_task(shell("transfer", "1001", "1003"))
    await human.wait_state(CallState.EARLY)
    await caller.hangup()
    said = await transferring
    assert said.code == 1, "it is no wrong call that was named"
    await human.wait_state(CallState.DISCONNECTED)


async def consulting(pbx: Pbx, shell: Shell) -> tuple[str, list[Phone]]:
    """Let the callee of a placed call talk with 1003, to whom the caller is to be handed over."""
    phones = [await pbx.phone(number, source=CALLER_TONE) for number in ("1001", "1002", "1003")]
    [placed] = await shell.json("originate", "1001", "--connect", "1002")
    await shell.done("transfer", "1001", "1003", "--no-wait")

    async def talk() -> bool:
        [shown] = await shell.json("show", placed["call_id"])
        return bool(shown["transfer"]["stage"] == "consulting")

    await until_true(talk, "they talk", within_s=15)
    return placed["call_id"], phones


async def test_a_call_whose_parties_talk_apart_is_hung_up_and_counts_once(
    pbx: Pbx, api: RunningApi, shell: Shell
) -> None:
    began: list[str] = []
    api.service.client.on(events.LIVE_CALL_BEGAN, lambda call: began.append(call.call_id))
    call_id, phones = await consulting(pbx, shell)
    await shell.done("hangup", call_id)
    for phone in phones:
        await phone.wait_state(CallState.DISCONNECTED)
    await until_nothing(shell)
    assert began == [call_id]

    async def kept() -> bool:
        """The store is written to behind the call's back."""
        return bool(await shell.json("history"))

    await until_true(kept, "it is kept")
    assert [one["call_id"] for one in await shell.json("history")] == [call_id]
    for within, found in (
        (("--since", "2000-01-01", "--until", "2100-01-01T08:00:00"), [call_id]),
        (("--since", "2100-01-01 08:00"), []),
        (("--until", "2000-01-01 08:00:00"), []),
    ):
        assert [one["call_id"] for one in await shell.json("history", *within)] == found
    assert (await shell("history", "--since", "yesterday")).code == 2


async def test_those_who_leave_when_one_is_parked_are_no_call_of_their_own(
    pbx: Pbx, api: RunningApi, shell: Shell
) -> None:
    began: list[str] = []
    api.service.client.on(events.LIVE_CALL_BEGAN, lambda call: began.append(call.call_id))
    phones = [await pbx.phone(number, source=CALLER_TONE) for number in ("1001", "1002", "1003")]
    [placed] = await shell.json("originate", "1001", "--connect", "1002")
    await shell.done("add", "1001", "1003")
    await shell.done("park", "1001")
    for phone in phones[1:]:
        await phone.wait_state(CallState.DISCONNECTED)
    await shell.done("hangup", "1001")
    await phones[0].wait_state(CallState.DISCONNECTED)
    await until_nothing(shell)
    assert began == [placed["call_id"]]


async def test_a_transfer_is_driven_and_completed(pbx: Pbx, shell: Shell) -> None:
    call_id, (caller, callee, human) = await consulting(pbx, shell)
    assert "aside" in await shell.done("transfer", "1001", "--toggle")
    assert "consulting" in await shell.done("transfer", "1001", "--toggle")
    [together] = await shell.json("transfer", "1003", "--conference")
    assert together["stage"] == "together"
    [done] = await shell.json("transfer", call_id, "--complete")
    assert done["outcome"] == "completed"
    await callee.wait_state(CallState.DISCONNECTED)
    await human.wait_state(CallState.CONFIRMED)
    assert (caller.state, human.state) == (CallState.CONFIRMED, CallState.CONFIRMED)
    over = await shell("transfer", call_id, "--cancel")
    assert over.code == 1
    assert "INVALID_STATE" in over.err
    await shell.done("hangup", call_id)


async def test_a_transfer_is_cancelled(pbx: Pbx, shell: Shell) -> None:
    call_id, (caller, callee, human) = await consulting(pbx, shell)
    both = await shell("transfer", call_id, "--cancel", "--complete")
    assert (both.code, "--cancel, --complete" in both.err) == (2, True)
    assert (await shell("transfer", call_id, "1003", "--cancel")).code == 2
    assert "cancelled" in await shell.done("transfer", call_id, "--cancel")
    await human.wait_state(CallState.DISCONNECTED)
    assert (caller.state, callee.state) == (CallState.CONFIRMED, CallState.CONFIRMED)
    await shell.done("hangup", call_id)


async def test_no_transfer_is_driven_where_there_is_none(pbx: Pbx, shell: Shell) -> None:
    await pbx.phone("1001", source=CALLER_TONE)
    await shell.done("originate", "1001")
    none = await shell("transfer", "1001", "--complete")
    assert none.code == 1
    assert "callbridge transfer CALL TO" in none.err
    assert (await shell("transfer", "1001")).code == 2
    await shell.done("hangup", "1001")


async def test_the_pbx_is_listed(shell: Shell, talking: tuple[Phone, Phone]) -> None:
    del talking
    online = {one["endpoint"]: one["state"] for one in await shell.json("endpoints")}
    assert (online["PJSIP/1001"], online["PJSIP/1002"]) == ("online", "online")
    call_id = await call_id_at(shell, "1001")
    assert {one["call_id"] for one in await shell.json("channels")} == {call_id}
    table = await shell.done("channels")
    assert "PJSIP/1002" in table
    assert "caller" in await shell.done("audibility", "1001")
    assert "yes" in await shell.done("health")
    [me] = await shell.json("me")
    assert me["role"] == "admin"


async def test_webhooks_are_added_listed_and_removed(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBRIDGE_WEBHOOK_SECRET", "a secret that is long enough")
    url = "http://127.0.0.1:9/hook"
    [made] = await shell.json("webhooks", "add", url, "--event", "CALL_TERMINATED")
    assert "secret" not in made
    assert url in await shell.done("webhooks", "list")
    hook = made["webhook_id"]
    assert await shell.json("webhooks", "deliveries", hook, "--dead") == []
    assert "0 are on their way" in await shell.done("webhooks", "replay", hook)
    await shell.done("webhooks", "remove", hook)
    assert await shell.json("webhooks", "list") == []
    assert (await shell("webhooks", "remove", hook)).code == 3
