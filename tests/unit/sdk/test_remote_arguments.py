"""What a program by URL may be told, and what only its daemon."""

from __future__ import annotations

from typing import Any

import pytest

from bridge import FeatureKeys
from bridge.model.errors import BadArgumentError, ConfigurationError, InvalidStateError
from bridge.protocol.frames import Route
from bridge.sdk import Client
from bridge.sdk.address import find_daemon, is_remote
from bridge.sdk.remote.arguments import program_name, routes_of

URL = "http://127.0.0.1:8100"


@pytest.mark.parametrize(
    "argument",
    [
        {"username": "somebody"},
        {"application": "other"},
        {"endpoint": "PJSIP/{number}@trunk"},
        {"send_buffer_seconds": 5.0},
        {"keys": {"4": "spy"}},
        {"feature_keys": FeatureKeys()},
        {"phone_transfers": True},
        {"parking_slots": ["700"]},
        {"supervisors": ["1003"]},
        {"supervisors": lambda _access: True},
        {"transfer_policy": lambda _request: True},
        {"instance": "other"},
    ],
)
def test_what_only_the_daemon_can_be_told(argument: dict[str, Any]) -> None:
    [name] = argument
    with pytest.raises(ConfigurationError, match=name):
        Client(url=URL, key="k", **argument)


def test_what_a_program_may_say() -> None:
    client = Client(
        url=URL,
        key="k",
        route=lambda _call: "1002",
        music=lambda _call: "blues",
        probe=False,
        sample_rate=16000,
    )
    assert client.sample_rate == 16000
    assert client.calls == ()
    with pytest.raises(InvalidStateError):
        _ = client.capabilities


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(find_daemon(url=URL, key="secret", environment={}))


@pytest.mark.parametrize("url", ["127.0.0.1:8100", "ftp://host", "http://", "http://host/path"])
def test_no_address(url: str) -> None:
    with pytest.raises(ConfigurationError):
        find_daemon(url=url, key="k", environment={})


def test_arguments_win_over_the_environment() -> None:
    environment = {"CALLBRIDGE_URL": "https://there", "CALLBRIDGE_KEY": "theirs"}
    found = find_daemon(url=URL + "/", key=None, environment=environment)
    assert (found.url, found.key) == (URL, "theirs")
    assert is_remote(url=None, ari_url=None, environment=environment)
    assert not is_remote(url=None, ari_url="http://ari", environment=environment)
    assert not is_remote(url=None, ari_url=None, environment={})


def test_no_key() -> None:
    with pytest.raises(ConfigurationError, match="CALLBRIDGE_KEY"):
        find_daemon(url=URL, key=None, environment={})


def test_a_key_without_an_address() -> None:
    with pytest.raises(ConfigurationError, match="CALLBRIDGE_URL"):
        Client("http://ari", "user", "secret", key="k")


def test_routes() -> None:
    assert routes_of(None) == (Route(),)
    wanted = Route(header=("X-Queue", "sales*"))
    assert routes_of(["10*", wanted]) == (Route(dialled="10*"), wanted)
    with pytest.raises(BadArgumentError):
        routes_of("10*")


@pytest.mark.parametrize("name", ["", "a/b", "x" * 81, "line\n"])
def test_no_name_of_a_program(name: str) -> None:
    with pytest.raises(BadArgumentError):
        program_name(name or "/")
