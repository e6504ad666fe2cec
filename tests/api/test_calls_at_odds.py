"""Commands that meet each other, the end of a call, or an Asterisk that cannot be reached."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge import TransferRequest
from bridge.api.auth.principal import Principal
from bridge.api.speech import Speech
from bridge.lab.fake_ari import Answer, FakeAri
from bridge.lab.waiting import until
from bridge.protocol.permissions import Role
from bridge.sdk import ActiveCall
from bridge.sdk.transfer import Transfer
from tests.support.daemon import RunningApi, running_api


@pytest.fixture
def fake_rings(fake: FakeAri) -> FakeAri:
    """The fake, whose phone 1003 rings for ever."""
    fake.world.phones["1003"].answer = Answer.RING
    return fake


async def called(api: RunningApi, fake: FakeAri) -> tuple[str, str]:
    """Let somebody call; return the ids of the call and of his channel."""
    channel = fake.incoming_call()
    await until(lambda: bool(api.client.calls), "the call is there")
    return api.client.calls[0].call_id, channel.id


@pytest.fixture
async def call(api: RunningApi, fake_rings: FakeAri) -> AsyncIterator[tuple[str, str]]:
    call_id, channel_id = await called(api, fake_rings)
    yield f"/calls/{call_id}", channel_id
    for left in api.client.calls:
        await left.disconnect(cut=True)


async def code(api: RunningApi, method: str, path: str, body: object = None, **how: Any) -> str:
    reply = await api.ask(method, path, body, **how)
    assert reply.status >= 400, (method, path, reply.raw)
    return reply.code


async def rung(fake: FakeAri, key: str) -> str:
    """Wait until somebody is rung; return his channel's id."""
    found: list[str] = []

    def look() -> bool:
        found[:] = [
            i for i, c in fake.world.channels.items() if f"-{key}-" in i and c.state == "Ringing"
        ]
        return bool(found)

    await until(look, "somebody is rung")
    return found[0]


async def test_another_command_has_to_end_first(
    api: RunningApi, fake_rings: FakeAri, call: tuple[str, str]
) -> None:
    path, _ = call
    connecting = asyncio.create_task(api.ask("POST", f"{path}/connect", {"to": "1003"}))
    leg = await rung(fake_rings, "leg.callee")
    view = await api.done("GET", path)
    assert [(p["name"], p["joined"]) for p in view["parties"]] == [("callee", False)]
    for method, rest, body in (
        ("POST", "/connect", {"to": "1004"}),
        ("POST", "/answer", None),
        ("POST", "/parties", {"to": "1004"}),
        ("POST", "/transfers", {"to": [["1004"]]}),
    ):
        found = await code(api, method, path + rest, body)
        assert found in {"COMMAND_IN_PROGRESS", "INVALID_STATE"}, rest
    fake_rings.channel_refuses(leg, 17)
    reply = await connecting
    assert (reply.status, reply.code, reply.json["hangup_cause"]) == (409, "CALL_BUSY", 17)


async def test_the_caller_hangs_up_meanwhile(
    api: RunningApi, fake_rings: FakeAri, call: tuple[str, str]
) -> None:
    path, channel_id = call
    connecting = asyncio.create_task(api.ask("POST", f"{path}/connect", {"to": "1003"}))
    await rung(fake_rings, "leg.callee")
    fake_rings.channel_hangs_up(channel_id)
    reply = await connecting
    assert (reply.status, reply.code) == (409, "CALLER_GONE")
    await until(lambda: not api.client.calls, "it is over")
    assert await code(api, "POST", f"{path}/answer") == "CALL_NOT_FOUND"


async def test_the_daemon_leaves_and_rings_nobody_any_more(
    api: RunningApi, fake_rings: FakeAri
) -> None:
    asking = asyncio.create_task(api.ask("POST", "/calls", {"to": "1003", "ring_time_seconds": 60}))
    leg = await rung(fake_rings, "leg.caller")
    assert api.service.dial_rules.live("default") == 1
    await api.client.disconnect()
    reply = await asking
    assert (reply.status, reply.code) == (409, "INVALID_STATE")
    await until(lambda: leg not in fake_rings.world.channels, "nobody is rung any more")
    await until(lambda: api.service.dial_rules.live("default") == 0, "no leg counts")


async def test_parties_who_ring_are_given_up(
    api: RunningApi, fake_rings: FakeAri, call: tuple[str, str]
) -> None:
    path, _ = call
    await api.done("POST", f"{path}/answer")
    adding = asyncio.create_task(api.ask("POST", f"{path}/parties", {"to": "1003"}))
    leg = await rung(fake_rings, "leg.party_1003")
    await api.done("DELETE", f"{path}/parties/party_1003")
    assert (await adding).code == "CALL_FAILED"
    await until(lambda: leg not in fake_rings.world.channels, "nobody rings him any more")


@pytest.mark.parametrize(
    "body",
    [{"music": "default"}, {"held": False, "announce": "sound:beep"}, {"announce_audio": "AAAA"}],
)
async def test_who_is_not_held_hears_nothing_of_it(
    api: RunningApi, call: tuple[str, str], body: dict[str, object]
) -> None:
    path, _ = call
    await api.done("POST", f"{path}/answer")
    reply = await api.ask("PATCH", f"{path}/parties/caller", body)
    assert (reply.status, reply.json["fields"][0]["at"]) == (422, f"$.{list(body)[-1]}")
    assert not (await api.done("PATCH", f"{path}/parties/caller", {}))["held"]


async def test_a_command_has_its_place_behind_the_audio_that_it_names(
    api: RunningApi, call: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = call
    await api.done("POST", f"{path}/answer")
    positions, (agent,) = api.service.audio_positions, api.client.calls
    party = f"{path}/parties/caller"
    muting = {"muted": True, "after_audio": 640}
    with monkeypatch.context() as hurry:
        hurry.setattr(positions, "wait", partial(positions.wait, within=0.05))
        assert await code(api, "PATCH", party, muting) == "COMMAND_TIMEOUT"
    assert [one.muted for one in agent.parties] == [False], "what did not come is not done"
    asking = asyncio.create_task(api.done("PATCH", party, muting))
    positions.place(agent).add(638)
    await asyncio.wait({asking}, timeout=0.05)
    assert not asking.done()
    positions.place(agent).add(2)
    assert (await asking)["muted"]


async def test_asterisk_cannot_be_reached(
    api: RunningApi, fake_rings: FakeAri, call: tuple[str, str]
) -> None:
    path, _ = call
    fake_rings.failures.refuse("POST", r"channels/[^/]+/answer", times=10)
    reply = await api.ask("POST", f"{path}/answer")
    assert (reply.status, reply.code) == (502, "REQUEST_FAILED")
    assert (await api.done("GET", path))["state"] == "PENDING"
    fake_rings.failures.rules.clear()
    fake_rings.failures.refuse("GET", "endpoints", times=10)
    assert await code(api, "GET", "/endpoints") == "REQUEST_FAILED"
    fake_rings.failures.rules.clear()


async def test_a_transfer_that_ends_with_its_call_is_the_one_that_was_asked_for(
    api: RunningApi, call: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = call
    await api.done("POST", f"{path}/answer")
    begun = await api.done("POST", f"{path}/transfers", {"to": [["1003"]]})
    cancel = Transfer.cancel

    async def with_the_call(transfer: Transfer, *, cut: bool) -> None:
        await cancel(transfer, cut=cut)
        await api.client.hang_up(begun["call_id"])
        await until(lambda: not api.client.known_calls, "nothing is left of the call")

    monkeypatch.setattr(Transfer, "cancel", with_the_call)
    done = await api.done("POST", f"{path}/transfers/{begun['transfer_id']}/cancel")
    assert (done["transfer_id"], done["outcome"]) == (begun["transfer_id"], "cancelled")
    assert api.service.views.transfer(begun["call_id"], begun["transfer_id"]) is None


async def test_the_policy_of_transfers_is_asked(fake: FakeAri, tmp_path: Path) -> None:
    def policy(asked: TransferRequest) -> bool:
        return asked.target != "PJSIP/1004"

    async with running_api(fake, tmp_path, client={"transfer_policy": policy}) as api:
        call_id, _ = await called(api, fake)
        await api.done("POST", f"/calls/{call_id}/answer")
        path = f"/calls/{call_id}/transfers"
        reply = await api.ask("POST", path, {"to": [["1004"]]})
        assert (reply.status, reply.code) == (403, "TRANSFER_DENIED")
        await until(lambda: api.service.dial_rules.live("default") == 0, "no leg counts")
        await api.client.hang_up(call_id)


async def test_a_command_for_speech_that_fails(fake: FakeAri, tmp_path: Path) -> None:
    speech = Speech([sys.executable, "-c", "import sys; sys.exit('no such voice')"], 16000)
    async with running_api(fake, tmp_path, speech=speech) as api:
        call_id, _ = await called(api, fake)
        reply = await api.ask("POST", f"/calls/{call_id}/say", {"text": "hello"})
        assert (reply.status, reply.code) == (409, "BAD_CONFIGURATION")
        assert "no such voice" in reply.json["detail"]
        assert (await api.done("GET", f"/calls/{call_id}"))["observers"] == []
        await api.client.hang_up(call_id)


class OnePrograms:
    """Programs of which one has every call."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def may_control(self, principal: Principal, _call_id: str) -> bool:
        return principal.role is not Role.PROGRAM or principal.name == self.owner

    def assign(self, call: ActiveCall, principal: Principal, name: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(("owner", "may"), [("the-program", True), ("another", False)])
async def test_a_program_changes_its_own_calls_alone(
    fake: FakeAri, tmp_path: Path, *, owner: str, may: bool
) -> None:
    async with running_api(fake, tmp_path, programs=OnePrograms(owner)) as api:
        call_id, _ = await called(api, fake)
        path = f"/calls/{call_id}"
        assert (await api.done("GET", path, key="program"))["call_id"] == call_id
        for method, rest, body in (
            ("POST", "/answer", None),
            ("PUT", "/music", {"music": ""}),
            ("POST", "/say", {"text": "hello"}),
            ("DELETE", "", None),
        ):
            reply = await api.ask(method, path + rest, body, key="program")
            assert (reply.status == 403) is not may, rest
        if not may:
            await api.done("DELETE", path, key="supervisor")
