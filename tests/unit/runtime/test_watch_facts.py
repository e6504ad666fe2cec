"""What the watch makes of Asterisk's events."""

from __future__ import annotations

import secrets
from typing import TypedDict

import pytest

from bridge.ari import events, models
from bridge.ari.generated.events import AnyMessage
from bridge.directory import BridgeGone, ChannelGone, ChannelSeen, Entered, Hold, Left
from bridge.model.ids import CallId
from bridge.runtime.names import Names, key_of
from bridge.runtime.watch_facts import (
    NEEDED,
    bridge_fact,
    channel_fact,
    fact_of,
    is_parties,
    is_party,
)
from bridge.topology.objects import Key

STAMP = "2026-02-02T10:11:12.500+0000"
CALL = CallId(secrets.token_hex(6))


def ours(key: str) -> str:
    return Names("other-app").fresh(CALL, Key(key))


def channel(channel_id: str = "c-1", state: str = "Up") -> models.Channel:
    return models.Channel(
        id=channel_id,
        protocol_id="",
        name="PJSIP/1002-00000003",
        state=state,
        caller=models.CallerID(name="Two", number="1002"),
        connected=models.CallerID(name="One", number="1001"),
        accountcode="",
        dialplan=models.DialplanCEP(
            context="phones", exten="", priority=1, app_name="AppDial", app_data=""
        ),
        creationtime=STAMP,
        language="en",
    )


def bridge(bridge_id: str = "b-1", bridge_type: str = "mixing") -> models.Bridge:
    return models.Bridge(
        id=bridge_id,
        technology="simple_bridge",
        bridge_type=bridge_type,
        bridge_class="basic",
        creator="Parking",
        name="",
        channels=("c-1",),
        creationtime=STAMP,
    )


CHANNEL, BRIDGE = channel(), bridge()


class Stamps(TypedDict):
    """What every event says."""

    application: str
    timestamp: str


STAMPS: Stamps = {"application": "a-watch", "timestamp": STAMP}


def test_what_is_read_of_a_channel() -> None:
    fact = channel_fact(channel(state="Ring"))
    assert (fact.id, fact.name, fact.up) == ("c-1", "PJSIP/1002-00000003", False)
    assert (fact.number, fact.owner, fact.app) == ("1002", "Two", "AppDial")
    assert fact.created == pytest.approx(1770027072.5)
    assert channel_fact(CHANNEL).up


def test_what_is_read_of_a_bridge() -> None:
    fact = bridge_fact(BRIDGE)
    assert (fact.id, fact.waiting, fact.creator) == ("b-1", False, "Parking")
    assert bridge_fact(bridge(bridge_type="holding")).waiting


@pytest.mark.parametrize(
    ("event", "fact"),
    [
        (events.ChannelCreated(channel=CHANNEL, **STAMPS), ChannelSeen(channel_fact(CHANNEL))),
        (events.ChannelStateChange(channel=CHANNEL, **STAMPS), ChannelSeen(channel_fact(CHANNEL))),
        (
            events.ChannelDestroyed(channel=CHANNEL, cause=16, cause_txt="", **STAMPS),
            ChannelGone("c-1"),
        ),
        (
            events.ChannelEnteredBridge(channel=CHANNEL, bridge=BRIDGE, **STAMPS),
            Entered(bridge_fact(BRIDGE), channel_fact(CHANNEL)),
        ),
        (events.ChannelEnteredBridge(bridge=BRIDGE, **STAMPS), None),
        (
            events.ChannelLeftBridge(channel=CHANNEL, bridge=BRIDGE, **STAMPS),
            Left("b-1", channel_fact(CHANNEL)),
        ),
        (events.BridgeDestroyed(bridge=BRIDGE, **STAMPS), BridgeGone("b-1")),
        (events.ChannelHold(channel=CHANNEL, **STAMPS), Hold(channel_fact(CHANNEL), on=True)),
        (events.ChannelUnhold(channel=CHANNEL, **STAMPS), Hold(channel_fact(CHANNEL), on=False)),
        (events.ChannelVarset(channel=CHANNEL, variable="A", value="1", **STAMPS), None),
        (events.BridgeCreated(bridge=BRIDGE, **STAMPS), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_events_and_their_facts(event: AnyMessage, fact: object) -> None:
    assert fact_of(event) == fact


@pytest.mark.parametrize("key", ["snoop.ai.caller", "media.ai.callee", "anchor.one"])
def test_nothing_is_told_of_an_observers_channels(key: str) -> None:
    theirs = channel(ours(key))
    assert not is_party(theirs.id)
    for event in (
        events.ChannelCreated(channel=theirs, **STAMPS),
        events.ChannelEnteredBridge(channel=theirs, bridge=BRIDGE, **STAMPS),
        events.ChannelLeftBridge(channel=theirs, bridge=BRIDGE, **STAMPS),
        events.ChannelDestroyed(channel=theirs, cause=16, cause_txt="", **STAMPS),
    ):
        assert fact_of(event) is None


def test_our_legs_and_our_calls_bridges_are_parties() -> None:
    assert is_party(ours("leg.callee"))
    assert is_parties(ours("bridge.call"))
    assert not is_parties(ours("bridge.line.ai.caller"))
    assert fact_of(events.BridgeDestroyed(bridge=bridge(ours("bridge.x")), **STAMPS)) is None


def test_in_an_observers_bridge_nobody_talks() -> None:
    """A supervisor who dialled in has a channel like any other, and sits in a bridge of ours."""
    seat = bridge(ours("bridge.seat"))
    event = events.ChannelEnteredBridge(channel=CHANNEL, bridge=seat, **STAMPS)
    assert fact_of(event) == ChannelSeen(channel_fact(CHANNEL))


def test_foreign_ids_have_no_key() -> None:
    assert key_of("1763612345.12") is None
    assert key_of(f"app-{CALL}-leg.callee") is None
    assert key_of(ours("leg.callee")) == "leg.callee"


def test_answers_and_the_end_of_the_application_pass_the_filter() -> None:
    assert {events.RESTResponse, events.ApplicationReplaced} <= set(NEEDED)
