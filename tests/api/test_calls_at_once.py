"""Calls that have just begun are seen at once, however late Asterisk's events are."""

from __future__ import annotations

import asyncio

import pytest

from bridge.ari.generated.events import AnyMessage
from bridge.directory import LiveCall
from bridge.runtime.watch import Watch
from tests.api.desk import Desk
from tests.integration.supervision.floor import plain_call
from tests.support.pbx import until_true

pytestmark = pytest.mark.asterisk
LATE_SECONDS = 0.25
SETTLED_SECONDS = 0.4
"""Less than who asks waits at most."""


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is told of the PBX come late to whoever begins to watch from now on."""
    take = Watch._event

    def taken_late(watch: Watch, event: AnyMessage) -> None:
        asyncio.get_running_loop().call_later(LATE_SECONDS, take, watch, event)

    monkeypatch.setattr(Watch, "_event", taken_late)


async def talking(desk: Desk) -> set[str]:
    """Let two talk; return the ids of their channels when Asterisk has just put them together."""
    talk = await plain_call(desk.pbx)
    ids = {party.channel_id for party in talk.parties.values()}

    async def together() -> bool:
        bridges = await desk.pbx._observer.bridges.list()
        return any(ids <= set(bridge.channels) for bridge in bridges)

    await until_true(together, "they talk")
    return ids


def parties_of(call: LiveCall) -> set[str]:
    return set(call.channels.values())


@pytest.mark.usefixtures("late")
async def test_a_call_that_has_just_begun_is_listed(desk: Desk) -> None:
    ids = await talking(desk)
    (shown,) = (await desk.api.done("GET", "/calls", key="observer"))["items"]
    assert {party["channel_id"] for party in shown["parties"]} == ids


@pytest.mark.usefixtures("late")
async def test_in_process_it_is_there_too_though_the_pbx_has_long_been_watched(
    desk: Desk,
) -> None:
    ids = await talking(desk)
    assert [parties_of(call) for call in await desk.api.client.live_calls()] == [ids]


@pytest.mark.usefixtures("late")
async def test_somebody_who_has_just_begun_to_talk_can_be_observed(desk: Desk) -> None:
    ids = await talking(desk)
    for channel_id in ids:
        observer = await desk.api.done(
            "POST", f"/calls/{channel_id}/observers", {}, key="supervisor"
        )
        (call,) = desk.api.client.known_calls
        assert (observer["call_id"], parties_of(call)) == (call.call_id, ids)


@pytest.mark.quiet
async def test_nobody_waits_for_what_is_known(desk: Desk) -> None:
    for call_id, *_ in (await desk.own(), await desk.own()):
        began = asyncio.get_running_loop().time()
        listed = await desk.api.done("GET", "/calls")
        assert call_id in {one["call_id"] for one in listed["items"]}
        assert asyncio.get_running_loop().time() - began < SETTLED_SECONDS
