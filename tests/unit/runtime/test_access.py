"""The access code: who dialled it, what for, and who may."""

from __future__ import annotations

import logging
from dataclasses import replace

import msgspec
import pytest

from bridge.ari import events
from bridge.model.errors import BadArgumentError
from bridge.runtime.cues import Cue
from bridge.runtime.seat import Access, AccessPolicy, read_access

ACCESS = Access(
    channel_id="1700000000.1",
    channel_name="PJSIP/1003-00000007",
    endpoint="PJSIP/1003",
    number="1001",
    extension="",
)


def entered(*args: str, name: str = ACCESS.channel_name) -> events.StasisStart:
    party = {"name": "", "number": ACCESS.number}
    channel = {
        "id": ACCESS.channel_id,
        "protocol_id": "",
        "name": name,
        "state": "Ring",
        "caller": party,
        "connected": party,
        "accountcode": "",
        "dialplan": {
            "context": "phones",
            "exten": "*55",
            "priority": 1,
            "app_name": "Stasis",
            "app_data": "",
        },
        "creationtime": "2026-01-01T00:00:00.000+0000",
        "language": "en",
    }
    event = {
        "type": "StasisStart",
        "application": "callbridge",
        "timestamp": "2026-01-01T00:00:00.000+0000",
        "args": args,
        "channel": channel,
    }
    return msgspec.convert(event, events.StasisStart)


@pytest.mark.parametrize("args", [("observe",), ("observe", "")])
def test_the_newest_call_is_asked_for(args: tuple[str, ...]) -> None:
    assert read_access(entered(*args)) == ACCESS


def test_the_call_of_an_extension_is_asked_for() -> None:
    assert read_access(entered("observe", "1002")) == replace(ACCESS, extension="1002")


@pytest.mark.parametrize("args", [(), ("incoming", "observe"), ("incoming", "1002")])
def test_another_channel(args: tuple[str, ...]) -> None:
    assert read_access(entered(*args)) is None


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        ("PJSIP/desk-17-0000000a", "PJSIP/desk-17"),
        ("Local/1003@phones-00000001;2", "Local/1003@phones"),
    ],
)
def test_who_it_is(name: str, endpoint: str) -> None:
    access = read_access(entered("observe", name=name))
    assert access is not None
    assert access.endpoint == endpoint


def test_nobody_may_by_default() -> None:
    assert not AccessPolicy().allows(ACCESS)


@pytest.mark.parametrize("allowed", [["1003"], {"PJSIP/1003"}, ("1004", "1003")])
def test_endpoints_that_may(allowed: list[str]) -> None:
    assert AccessPolicy(allowed).allows(ACCESS)


@pytest.mark.parametrize("allowed", [["1001"], ["100"], ["PJSIP/100"], ["SIP/1003"], [""]])
def test_endpoints_that_may_do_not_let_others_in(allowed: list[str]) -> None:
    # 1001 is the number that this phone pretends to have.
    assert not AccessPolicy(allowed).allows(ACCESS)


def test_another_technology_with_the_same_name_may_not() -> None:
    assert not AccessPolicy(["1003"]).allows(replace(ACCESS, endpoint="Local/1003"))


def test_a_string_is_no_list() -> None:
    with pytest.raises(BadArgumentError, match="give a list"):
        AccessPolicy("1003")


def test_a_function_is_asked() -> None:
    policy = AccessPolicy(lambda access: access.extension == "1002")
    assert policy.allows(replace(ACCESS, extension="1002"))
    assert not policy.allows(ACCESS)


def test_a_function_that_does_not_know_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    def ask(_access: Access) -> bool:
        raise LookupError("no such supervisor")

    with caplog.at_level(logging.ERROR):
        assert not AccessPolicy(ask).allows(ACCESS)
    assert "no such supervisor" in caplog.text


def test_cues_are_short_and_different() -> None:
    assert len({cue.value for cue in Cue}) == len(Cue) == 7
    for cue in Cue:
        assert 0.1 <= cue.seconds <= 0.25
        # A comma would end the medium, and a tone without ! is repeated for ever.
        assert "," not in cue
        assert all(part.startswith("!") for part in cue.split("|"))
