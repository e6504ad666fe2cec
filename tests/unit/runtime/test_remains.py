"""What an earlier run left behind, sorted by call."""

from __future__ import annotations

from bridge.ari import models
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.runtime.names import CallId, Names
from bridge.runtime.remains import Remains, missed, sort_out
from bridge.topology.objects import (
    ANCHORS,
    CALL_BRIDGE,
    SEAT_BRIDGE,
    Key,
    anchors_of,
    apart_key,
    hold_key,
    leg_key,
    media_key,
    snoop_key,
)

NAMES = Names("callbridge")
CALL = CallId("0123456789ab")
EXPERT = Participant("expert")
ONE, TWO = sorted(ANCHORS)


def remains(members: set[str], channels: dict[str, Key], held: str = "") -> Remains:
    bridges, inside = {"bridge": CALL_BRIDGE}, {CALL_BRIDGE: frozenset(members)}
    if held:
        bridges["room"] = hold_key(Participant(held))
        inside[bridges["room"]] = frozenset({held})
    return Remains(bridges, channels, inside)


THEIRS = {"callee": leg_key(CALLEE), "one": ONE, "two": TWO}


def test_two_who_talk_and_the_anchors_of_their_bridge() -> None:
    found = remains({"caller", "callee", "one", "two"}, THEIRS)
    assert found.talking == {CALLER: "caller", CALLEE: "callee"}
    assert found.anchors == {ONE: "one", TWO: "two"}
    assert found.rooms == {CALL_BRIDGE: ("bridge", found.members)}


def test_an_anchor_outside_the_bridge_is_of_no_use() -> None:
    found = remains({"caller", "callee", "one"}, THEIRS)
    assert found.anchors == {ONE: "one"}


def test_nobody_talks_who_is_alone() -> None:
    assert remains({"caller", "one", "two"}, THEIRS).talking == {}
    assert remains({"callee", "one", "two"}, THEIRS).talking == {}
    assert remains({"one", "two"}, {"one": ONE, "two": TWO}).talking == {}


def test_a_third_in_the_bridge_is_not_understood() -> None:
    assert remains({"caller", "callee", "stranger"}, THEIRS).talking == {}


def test_a_conference_one_of_whom_is_held() -> None:
    three = {**THEIRS, "expert": leg_key(EXPERT)}
    found = remains({"caller", "callee", "expert", "one", "two"}, three)
    everybody = {CALLER: "caller", CALLEE: "callee", EXPERT: "expert"}
    assert found.talking == everybody
    for held in ("caller", "callee", "expert"):
        inside = {"caller", "callee", "expert", "one", "two"} - {held}
        found = remains(inside, three, held)
        assert found.talking == everybody
        assert set(found.rooms) == {CALL_BRIDGE, hold_key(Participant(held))}


def test_who_is_apart_and_his_anchors() -> None:
    mine = sorted(anchors_of(EXPERT))
    apart = {**THEIRS, "expert": leg_key(EXPERT), "three": mine[0], "four": mine[1]}
    found = remains({"caller", "callee", "one", "two"}, apart)
    found.bridges["aside"] = apart_key(EXPERT)
    found.inside[apart_key(EXPERT)] = frozenset({"expert", "three", "four"})
    assert found.talking == {CALLER: "caller", CALLEE: "callee", EXPERT: "expert"}
    assert found.anchors == {ONE: "one", TWO: "two", mine[0]: "three", mine[1]: "four"}
    assert set(found.rooms) == {CALL_BRIDGE, apart_key(EXPERT)}
    assert found.people == {"caller", "callee", "expert"}
    assert found.seat is None


def test_somebody_who_observes_by_phone() -> None:
    for phone, keys in (("leg", {"leg": leg_key(Participant("boss"))}), ("dialled", {})):
        found = Remains(
            {"bridge": SEAT_BRIDGE},
            {**keys, "one": ONE, "two": TWO, "snoop": snoop_key(CALLER, Participant("boss"))},
            {SEAT_BRIDGE: frozenset({phone, "one", "two"})},
        )
        assert found.seat == phone
        assert found.rooms == {SEAT_BRIDGE: ("bridge", frozenset({phone, "one", "two"}))}
        found.inside[SEAT_BRIDGE] = frozenset({"one", "two"})
        assert found.seat is None


def test_one_who_still_rings_does_not_talk() -> None:
    found = remains({"caller", "callee"}, {**THEIRS, "expert": leg_key(EXPERT)})
    assert found.talking == {CALLER: "caller", CALLEE: "callee"}


def test_when_the_caller_has_gone_another_stands_in_his_place() -> None:
    found = remains({"callee", "expert"}, {**THEIRS, "expert": leg_key(EXPERT)})
    assert found.talking == {CALLER: "callee", EXPERT: "expert"}


def test_an_agent_has_no_part_in_talking() -> None:
    agents = {"snoop": snoop_key(AGENT, CALLER), "media": media_key(AGENT, CALLER)}
    found = remains({"caller", "callee"}, {**THEIRS, **agents})
    assert found.talking == {CALLER: "caller", CALLEE: "callee"}
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
