"""What an earlier run left behind, sorted by call."""

from __future__ import annotations

from bridge.ari import models
from bridge.model.participants import AGENT, CALLEE, CALLER
from bridge.runtime.names import CallId, Names
from bridge.runtime.reconcile import Remains, missed, sort_out
from bridge.topology.objects import ANCHORS, CALL_BRIDGE, Key, leg_key, media_key, snoop_key

NAMES = Names("callbridge")
CALL = CallId("0123456789ab")
ONE, TWO = sorted(ANCHORS)


def remains(members: set[str], channels: dict[str, Key]) -> Remains:
    return Remains({"bridge": CALL_BRIDGE}, channels, frozenset(members))


THEIRS = {"callee": leg_key(CALLEE), "one": ONE, "two": TWO}


def test_two_who_talk_and_the_anchors_of_their_bridge() -> None:
    found = remains({"caller", "callee", "one", "two"}, THEIRS)
    assert found.talking == ("caller", "callee")
    assert found.anchors == {ONE: "one", TWO: "two"}
    assert found.call_bridge == "bridge"


def test_an_anchor_outside_the_bridge_is_of_no_use() -> None:
    found = remains({"caller", "callee", "one"}, THEIRS)
    assert found.anchors == {ONE: "one"}


def test_nobody_talks_who_is_alone() -> None:
    assert remains({"caller", "one", "two"}, THEIRS).talking is None
    assert remains({"callee", "one", "two"}, THEIRS).talking is None
    assert remains({"one", "two"}, {"one": ONE, "two": TWO}).talking is None


def test_a_third_in_the_bridge_is_not_understood() -> None:
    assert remains({"caller", "callee", "stranger"}, THEIRS).talking is None


def test_an_agent_has_no_part_in_talking() -> None:
    agents = {"snoop": snoop_key(AGENT, CALLER), "media": media_key(AGENT, CALLER)}
    found = remains({"caller", "callee"}, {**THEIRS, **agents})
    assert found.talking == ("caller", "callee")
    assert set(found.channels) == {"callee", "one", "two", "snoop", "media"}


def channel(channel_id: str, *, data: str = "callbridge,incoming,1002") -> models.Channel:
    nobody = models.CallerID(name="", number="")
    return models.Channel(
        id=channel_id,
        protocol_id="",
        name=f"PJSIP/{channel_id}",
        state="Ring",
        caller=nobody,
        connected=nobody,
        accountcode="",
        dialplan=models.DialplanCEP(
            context="phones", exten="1002", priority=1, app_name="Stasis", app_data=data
        ),
        creationtime="",
        language="en",
    )


def test_only_calls_that_nobody_knows_are_sorted() -> None:
    ours = NAMES.fresh(CALL, leg_key(CALLEE))
    other = Names("another").fresh(CALL, leg_key(CALLEE))
    channels = [channel(ours), channel(other), channel("caller")]
    assert set(sort_out(channels, [], NAMES, frozenset())) == {CALL}
    assert sort_out(channels, [], NAMES, frozenset({CALL})) == {}


def test_who_waits_is_in_our_application_and_belongs_to_nobody() -> None:
    waits = channel("waits")
    channels = [
        waits,
        channel("known"),
        channel("elsewhere", data="another,incoming,1002"),
        channel("similar", data="callbridge2,incoming,1002"),
        channel(NAMES.fresh(CALL, leg_key(CALLEE))),
    ]
    assert missed(channels, "callbridge", NAMES, frozenset({"known"})) == [waits]
