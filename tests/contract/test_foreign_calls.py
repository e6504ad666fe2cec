"""Calls that no application owns, and phones that we ring: fake and real must agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from bridge.ari import AriConnection, events
from bridge.lab.fake_ari import Answer
from bridge.lab.waiting import until
from bridge.model.errors import RequestFailedError
from tests.contract.conftest import Desk, bridges, cleared, fresh_name, refusal, watcher
from tests.contract.sites import Site
from tests.contract.stories import untangled
from tests.support.ids import new_id
from tests.support.pbx import until_true

CALLING = ["ChannelCreated", "ChannelDialplan Dial", "Dial", "ChannelConnectedLine"]
RUNG = ["ChannelCreated", "ChannelDialplan AppDial", "ChannelConnectedLine", "Dial"]
RINGS = ["Ringing", "Dial RINGING"]
TALKS = ["Up", "ChannelEnteredBridge"]
OUTSIDE = (409, "Channel not in Stasis application")


@dataclass
class Office:
    """A site, an application on it, and a second one that watches."""

    site: Site
    desk: Desk
    watch: Desk

    async def channel(self, number: str) -> str:
        """Wait for a phone's channel, the newest; its id."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [
                event.channel.id
                for event in self.watch.events
                if isinstance(event, events.ChannelCreated)
                and event.channel.name.startswith(f"PJSIP/{number}-")
            ]
            return bool(found)

        await until(look, f"a channel of {number}")
        return found[-1]

    async def talking(self, caller: str = "1001", callee: str = "1002") -> tuple[str, str]:
        """Let two phones talk; the ids of their channels."""
        await self.site.set_up(Answer.ANSWER, callee)
        await self.site.call(f"9{callee}", caller)
        one, other = await self.channel(caller), await self.channel(callee)
        for channel in (one, other):
            await self.watch.wait_line("ChannelEnteredBridge", channel)
        return one, other

    async def together(self, *channels: str) -> None:
        """Wait until exactly these are in one bridge."""

        async def met() -> bool:
            found = await self.desk.connection.bridges.list()
            return set(channels) in [set(bridge.channels) for bridge in found]

        await until_true(met, f"{channels} are in one bridge")

    async def connected_to(self, channel: str, number: str) -> None:
        """Wait until Asterisk shows a channel whom it talks with, which it does after they met."""

        async def shown() -> bool:
            found = await self.desk.connection.channels.get(channel_id=channel)
            return found.connected.number == number

        await until_true(shown, f"{channel} is connected to {number}")

    async def empty(self) -> bool:
        """Tell whether no channel is left."""
        return not await self.desk.connection.channels.list()

    async def over(self, *channels: str) -> None:
        """Wait for the end of channels."""
        for channel in channels:
            await self.watch.wait_for(events.ChannelDestroyed, channel)


@pytest.fixture
async def office(site: Site) -> AsyncIterator[Office]:
    told: list[events.AnyMessage] = []
    connection = AriConnection(site.settings, on_event=told.append)
    await connection.open()
    watch = await watcher(replace(site.settings, application=fresh_name()))
    made = Office(site, Desk(connection, told), watch)
    desks = made.desk, made.watch
    try:
        yield made
        await until_true(made.empty, "no channel is left")
    finally:
        await cleared(made.desk)
        for desk in desks:
            await desk.connection.close()
    for desk in desks:
        assert desk.connection.callback_errors == 0
        assert not desk.connection.unknown_events


@pytest.mark.parametrize("who", ["1001", "1002"])
async def test_a_plain_dial_until_one_hangs_up(office: Office, who: str) -> None:
    caller, callee = await office.talking()
    answered = [*CALLING, "Dial RINGING", "Dial ANSWER", *TALKS]
    assert untangled(office.watch.story(caller)) == untangled(answered)
    found = {c.id: c for c in await office.desk.connection.channels.list()}
    assert (found[caller].dialplan.app_name, found[caller].dialplan.exten) == ("Dial", "91002")
    assert (found[callee].dialplan.app_name, found[callee].dialplan.exten) == ("AppDial", "")
    assert (found[caller].connected.number, found[callee].connected.number) == ("1002", "1001")
    (bridge,) = await bridges(office.desk.connection)
    assert (bridge.bridge_class, bridge.technology) == ("basic", "simple_bridge")
    begun = len(office.watch.story(caller)), len(office.watch.story(callee))
    await office.site.hangs_up(who)
    await office.over(caller, callee)
    ends = office.watch.story(caller)[begun[0] :], office.watch.story(callee)[begun[1] :]
    of_caller = ["ChannelLeftBridge", "HangupRequest 16 True", "Destroyed 16"]
    of_callee = ["ChannelLeftBridge", "Destroyed 16"]
    if who == "1001":
        of_caller.insert(0, "HangupRequest 16 None")
    else:
        of_callee.insert(0, "HangupRequest 16 None")
    assert ends == (of_caller, of_callee)
    await office.watch.wait_for(events.BridgeDestroyed, bridge.id)
    assert office.watch.story(bridge.id)[-1] == "BridgeDestroyed"
    assert office.desk.events == []


async def test_one_is_hung_up_by_command(office: Office) -> None:
    caller, callee = await office.talking()
    await office.desk.connection.channels.hangup(channel_id=caller)
    await office.over(caller, callee)
    assert "HangupRequest 32 True" in office.watch.story(caller)
    assert office.desk.events == []


async def test_a_phone_that_is_busy(office: Office) -> None:
    await office.site.set_up(Answer.BUSY)
    await office.site.call("91002")
    caller, callee = await office.channel("1001"), await office.channel("1002")
    await office.over(caller, callee)
    assert office.watch.story(caller)[-1] == "Destroyed 17"
    assert untangled(office.watch.story(callee))[1] == ["Dial", "Dial BUSY"]
    assert office.watch.story(callee)[-1] == "Destroyed 17"


async def test_a_caller_who_does_not_wait(office: Office) -> None:
    await office.site.set_up(Answer.RING)
    await office.site.call("91002")
    caller, callee = await office.channel("1001"), await office.channel("1002")
    await office.watch.wait_line("Dial RINGING", callee)
    await office.site.hangs_up("1001")
    await office.over(caller, callee)
    assert untangled(office.watch.story(callee))[1] == ["Dial", "Dial CANCEL", "Dial RINGING"]


async def test_nothing_is_commanded_there(office: Office) -> None:
    caller, _callee = await office.talking()
    request = office.desk.connection.request
    for what in ("mute", "hold", "moh", "silence", "answer", "continue", "dial", "ring"):
        assert await refusal(request("POST", f"channels/{caller}/{what}")) == OUTSIDE, what
    play = office.desk.connection.channels.play(channel_id=caller, media=["sound:beep"])
    assert await refusal(play) == OUTSIDE
    variable = office.desk.connection.channels.set_channel_var(
        channel_id=caller, variable="A", value="1"
    )
    assert await refusal(variable) == OUTSIDE
    (bridge,) = await bridges(office.desk.connection)
    not_ours = (409, "Bridge not in Stasis application")
    of_bridges = office.desk.connection.bridges
    assert await refusal(of_bridges.destroy(bridge_id=bridge.id)) == not_ours
    assert await refusal(of_bridges.add_channel(bridge_id=bridge.id, channel=caller)) == not_ours
    await office.site.hangs_up("1001")


async def test_variables_are_read_there(office: Office) -> None:
    caller, callee = await office.talking()
    read = office.desk.connection.channels.get_channel_var
    name = (await office.desk.connection.channels.get(channel_id=caller)).name

    async def are_set() -> bool:
        try:
            found = [
                await read(channel_id=callee, variable=variable)
                for variable in ("CHANNEL(peer)", "BRIDGEPEER")
            ]
        except RequestFailedError:
            return False
        return [variable.value for variable in found] == [name, name]

    # A moment after he has entered the bridge.
    await until_true(are_set, "his peer is named")
    for channel in (caller, callee):
        found = await read(channel_id=channel, variable="CHANNEL(linkedid)")
        assert found.value == caller
    await office.site.hangs_up("1001")


async def test_a_snoop_on_a_foreign_channel(office: Office) -> None:
    caller, callee = await office.talking()
    before = office.watch.story(caller), office.watch.story(callee)
    snoop = new_id("snoop")
    await office.desk.connection.channels.snoop_channel_with_id(
        channel_id=callee, snoop_id=snoop, app="callbridge", spy="in", whisper="out"
    )
    await office.desk.wait_for(events.StasisStart, snoop)
    await office.desk.connection.channels.mute(channel_id=snoop, direction="out")
    assert (office.watch.story(caller), office.watch.story(callee)) == before
    await office.site.hangs_up("1002")
    await office.over(caller, callee, snoop)
    await office.desk.wait_for(events.StasisEnd, snoop)
    assert office.desk.story() == ["StasisStart", "StasisEnd"]


async def test_rtp_of_a_phone(office: Office) -> None:
    _caller, callee = await office.talking()
    statistics = office.desk.connection.channels.rtpstatistics
    first = await statistics(channel_id=callee)
    assert first.channel_uniqueid == callee

    async def counted() -> bool:
        return (await statistics(channel_id=callee)).rxcount >= first.rxcount + 5

    await until_true(counted, "what he sends is counted")
    await office.site.hangs_up("1001")


async def test_a_plain_dial_to_a_media_socket(office: Office) -> None:
    await office.site.call("9000")
    caller = await office.channel("1001")
    await office.watch.wait_line("Dial", caller)
    (callee,) = (event.peer.id for event in office.watch.events if isinstance(event, events.Dial))
    await office.desk.connect(callee)
    await office.together(caller, callee)
    await office.desk.sockets.pop().close()
    await office.over(caller, callee)
    assert office.watch.story(callee)[-1].startswith("Destroyed")


async def test_a_phone_holds_and_presses_keys(office: Office) -> None:
    caller, callee = await office.talking()

    async def held() -> list[str]:
        read = office.desk.connection.channels.get_channel_var
        found = [
            await read(channel_id=channel, variable="CHANNEL(onhold)")
            for channel in (caller, callee)
        ]
        return [variable.value for variable in found]

    begun = len(office.watch.story(callee))
    await office.site.holds("1002", on=True)
    await office.watch.wait_line("ChannelHold", callee)
    assert await held() == ["1", "0"]
    await office.site.holds("1002", on=False)
    await office.watch.wait_line("ChannelUnhold", callee)
    assert await held() == ["0", "0"]
    await office.site.presses("1002", "1#")
    await until(
        lambda: office.watch.story(callee).count("ChannelDtmfReceived") == 2, "both are told"
    )
    told = [e.digit for e in office.watch.events if isinstance(e, events.ChannelDtmfReceived)]
    assert told == ["1", "#"]
    assert office.watch.story(callee)[begun:] == [
        "ChannelHold",
        "ChannelUnhold",
        "ChannelDtmfReceived",
        "ChannelDtmfReceived",
    ]
    await office.site.hangs_up("1001")


@pytest.mark.parametrize("who", ["1001", "1002"])
async def test_a_blind_transfer(office: Office, who: str) -> None:
    ids = dict(zip(("1001", "1002"), await office.talking(), strict=True))
    staying = ids["1002" if who == "1001" else "1001"]
    await office.site.set_up(Answer.ANSWER, "1003")
    begun = len(office.watch.story(staying))
    await office.site.transfers(who, "1003")
    third = await office.channel("1003")
    await office.watch.wait_line("ChannelEnteredBridge", third)
    await office.together(staying, third)
    await office.over(ids[who])
    await until(lambda: "ChannelEnteredBridge" in office.watch.story(staying)[begun:], "it is told")
    lines = office.watch.story(staying)[begun:]
    assert lines.count("ChannelLeftBridge") == lines.count("ChannelEnteredBridge") == 1
    assert "BridgeBlindTransfer" in office.watch.story(ids[who])
    assert untangled(office.watch.story(third))[1] == untangled([*RUNG, *RINGS, "Dial ANSWER"])[1]
    found = await office.desk.connection.channels.get(channel_id=staying)
    assert (found.dialplan.app_name, found.dialplan.exten) == ("Dial", "91003")
    await office.connected_to(staying, "1003")
    await office.site.hangs_up("1003")
    await office.over(staying, third)


async def test_an_attended_transfer(office: Office) -> None:
    caller, callee = await office.talking()
    await office.site.set_up(Answer.ANSWER, "1003")
    await office.site.consults("1002", "1003")
    third = await office.channel("1003")
    consult = await office.channel("1002")
    assert consult != callee
    await office.together(consult, third)
    await office.site.joins("1002")
    await office.together(caller, third)
    await office.over(callee, consult)
    await until(
        lambda: any(isinstance(e, events.BridgeAttendedTransfer) for e in office.watch.events),
        "the transfer is told",
    )
    (transfer,) = (e for e in office.watch.events if isinstance(e, events.BridgeAttendedTransfer))
    assert transfer.result == "Success"
    assert transfer.transferee is not None
    assert transfer.transferee.id == caller
    assert transfer.transfer_target is not None
    assert transfer.transfer_target.id == third
    assert office.watch.story(caller).count("ChannelEnteredBridge") == 2
    assert office.watch.story(third).count("ChannelEnteredBridge") == 1
    await office.site.hangs_up("1001")
    await office.over(caller, third)


async def test_a_call_is_parked_and_fetched(office: Office) -> None:
    caller, callee = await office.talking()
    slot = await office.site.parks("1002")
    await office.together(caller)
    found_bridges = await office.desk.connection.bridges.list()
    (lot,) = (bridge for bridge in found_bridges if bridge.bridge_class == "parking")
    assert (lot.bridge_type, lot.creator, lot.channels) == ("holding", "Parking", (caller,))
    await office.over(callee)
    await office.site.retrieves("1003", slot)
    third = await office.channel("1003")
    await office.together(caller, third)
    found = await office.desk.connection.channels.get(channel_id=third)
    assert found.dialplan.app_name == "ParkedCall"
    await office.connected_to(third, "1001")
    await office.site.hangs_up("1001")
    await office.over(caller, third)


# --- phones that an application rings -------------------------------------------------------------


async def originated(office: Office, answer: Answer, **query: str | int) -> str:
    await office.site.set_up(answer)
    identity = new_id("out")
    given = {"endpoint": "PJSIP/1002", "channelId": identity, "timeout": 5, **query}
    await office.desk.connection.request("POST", "channels", query=given)
    return identity


async def test_a_phone_is_originated_and_hangs_up(office: Office) -> None:
    identity = await originated(office, Answer.ANSWER, app="callbridge", callerId="7000")
    await office.desk.wait_for(events.StasisStart, identity)
    await office.site.hangs_up("1002")
    await office.desk.wait_for(events.ChannelDestroyed, identity)
    begin = ["Dial", *RINGS, "Up", "Dial ANSWER", "STASISSTATUS", "StasisStart"]
    end = ["HangupRequest None None", "StasisEnd", "STASISSTATUS SUCCESS", "Destroyed 0"]
    assert untangled(office.desk.story(identity)) == untangled([*begin, *end])


async def test_a_phone_is_originated_and_busy(office: Office) -> None:
    identity = await originated(office, Answer.BUSY, app="callbridge")
    await office.desk.wait_for(events.ChannelDestroyed, identity)
    expected = ["Dial", "HangupRequest 17 None", "Dial BUSY", "Destroyed 17"]
    assert untangled(office.desk.story(identity)) == untangled(expected)


async def test_a_phone_is_originated_and_rings_on(office: Office) -> None:
    identity = await originated(office, Answer.RING, app="callbridge", timeout=1)
    await office.desk.wait_for(events.ChannelDestroyed, identity)
    assert untangled(office.desk.story(identity)) == untangled(["Dial", *RINGS, "Destroyed 19"])


async def test_a_phone_is_shown_who_calls(office: Office) -> None:
    await office.site.set_up(Answer.RING)
    await office.site.call("1009")
    caller = await office.channel("1001")
    await office.desk.wait_for(events.StasisStart, caller)
    identity = new_id("out")
    channels = office.desk.connection.channels
    await channels.create(
        endpoint="PJSIP/1002",
        app="callbridge",
        channel_id=identity,
        variables={"CONNECTEDLINE(num,i)": "77", "CONNECTEDLINE(name,i)": "Joe", "FOO": "bar"},
    )
    await office.desk.wait_for(events.StasisStart, identity)
    found = await channels.get(channel_id=identity)
    assert (found.connected.number, found.connected.name) == ("77", "Joe")
    assert (await channels.get_channel_var(channel_id=identity, variable="FOO")).value == "bar"
    assert untangled(office.desk.story(identity)) == untangled(
        ["ChannelConnectedLine"] * 2 + ["ChannelDialplan Stasis", "STASISSTATUS", "StasisStart"]
    )
    await channels.dial(channel_id=identity, caller=caller, timeout=5)
    await office.desk.wait_line("Dial RINGING", identity)
    assert (await channels.get(channel_id=identity)).connected.number == "1001"
    await channels.hangup(channel_id=identity)
    await channels.hangup(channel_id=caller)
    await office.over(identity, caller)


async def test_a_supervisor_dials_an_access_code(office: Office) -> None:
    await office.site.call("*551002")
    seat = await office.channel("1001")
    await office.desk.wait_line("StasisStart observe 1002", seat)
    await office.site.hangs_up("1001")
    await office.over(seat)


async def test_one_of_our_own_bridge_hangs_up(office: Office) -> None:
    await office.site.call("1009")
    caller = await office.channel("1001")
    await office.desk.wait_for(events.StasisStart, caller)
    await office.desk.connection.channels.answer(channel_id=caller)
    bridge = await office.desk.bridge()
    await office.desk.connection.bridges.add_channel(bridge_id=bridge, channel=caller)
    await office.desk.wait_for(events.ChannelEnteredBridge, caller)
    await office.site.hangs_up("1001")
    await office.desk.wait_for(events.StasisEnd, caller)
    end = ["HangupRequest None None", "ChannelLeftBridge", "StasisEnd"]
    assert office.desk.story(caller)[-3:] == end
    await office.desk.connection.bridges.destroy(bridge_id=bridge)
