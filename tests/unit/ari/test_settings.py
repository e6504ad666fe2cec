"""Addresses and credentials."""

from __future__ import annotations

import base64

import pytest

from bridge.ari import AriSettings
from bridge.model.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:8088", "http://127.0.0.1:8088"),
        ("http://127.0.0.1:8088/", "http://127.0.0.1:8088"),
        ("http://127.0.0.1:8088/ari", "http://127.0.0.1:8088"),
        ("http://127.0.0.1:8088/ari/", "http://127.0.0.1:8088"),
        ("https://pbx.example/phone/ari", "https://pbx.example/phone"),
        ("https://pbx.example/phone", "https://pbx.example/phone"),
        ("http://[::1]:8088/ari", "http://[::1]:8088"),
    ],
)
def test_the_address_may_end_in_ari_or_not(url: str, root: str) -> None:
    settings = AriSettings(url, "user", "password")
    websocket = root.replace("http", "ws", 1)
    assert settings.root == root
    assert settings.resource_url("channels/c-1") == f"{root}/ari/channels/c-1"
    assert settings.events_url() == (f"{websocket}/ari/events?app=callbridge&subscribeAll=false")
    assert settings.media_url("0a/b") == f"{websocket}/media/0a%2Fb"


def test_everything_is_subscribed_to_only_on_demand() -> None:
    settings = AriSettings("http://pbx.example", "user", "x", "app", subscribe_all=True)
    assert settings.events_url() == "ws://pbx.example/ari/events?app=app&subscribeAll=true"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8088",
        "ftp://x",
        "http://",
        "ws://x/ari",
        "http://x/ari?api_key=a:b",
        "http://x:80880/ari",
        "http://x:http/ari",
        "http://x:0",
        "http://[::1",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigurationError):
        AriSettings(url, "user", "password")


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AriSettings("http://user:hunter2@pbx.example/ari", "user", "x")
    assert "hunter2" not in str(caught.value)


def test_the_password_is_in_the_header_alone() -> None:
    settings = AriSettings("http://pbx.example", "user", "hunter2 ü")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.events_url()
    scheme, token = settings.authorization().split()
    assert scheme == "Basic"
    assert base64.b64decode(token).decode() == "user:hunter2 ü"


@pytest.mark.parametrize("application", ["", "a,b", "x" * 74])
def test_names_that_asterisk_would_not_take(application: str) -> None:
    with pytest.raises(ConfigurationError, match="1 to 73 characters"):
        AriSettings("http://pbx.example", "user", "x", application=application)


@pytest.mark.parametrize("username", ["", "a:b"])
def test_usernames_that_basic_authentication_cannot_carry(username: str) -> None:
    with pytest.raises(ConfigurationError, match="username"):
        AriSettings("http://pbx.example", username, "x")
