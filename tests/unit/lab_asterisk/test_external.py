"""The Asterisk that the environment names."""

from __future__ import annotations

import pytest

from bridge.lab.asterisk import AriInfo, external_ari
from bridge.model.errors import ConfigurationError


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("CALLBRIDGE_ARI_USERNAME", "u")
    monkeypatch.setenv("CALLBRIDGE_ARI_PASSWORD", "p")
    return monkeypatch


@pytest.mark.parametrize(
    "url", ["http://pbx:8088", "http://pbx:8088/", "http://pbx:8088/ari", "http://pbx:8088/ari/"]
)
def test_one_spelling_of_many(named: pytest.MonkeyPatch, url: str) -> None:
    named.setenv("CALLBRIDGE_ARI_URL", url)
    assert external_ari() == AriInfo("http://pbx:8088/ari", "u", "p")


def test_none_is_named(named: pytest.MonkeyPatch) -> None:
    named.delenv("CALLBRIDGE_ARI_URL", raising=False)
    assert external_ari() is None


@pytest.mark.parametrize(
    "url",
    ["nonsense", "ftp://pbx", "http://", "http://pbx:80880/ari", "http://pbx:x", "http://[::1"],
)
def test_an_address_that_is_none(named: pytest.MonkeyPatch, url: str) -> None:
    named.setenv("CALLBRIDGE_ARI_URL", url)
    with pytest.raises(ConfigurationError, match=r"CALLBRIDGE_ARI_URL: .* must look like http://"):
        external_ari()


def test_a_password_in_the_address_is_not_repeated(named: pytest.MonkeyPatch) -> None:
    named.setenv("CALLBRIDGE_ARI_URL", "http://u:hunter2@pbx:8088/ari")
    with pytest.raises(ConfigurationError, match=r"CALLBRIDGE_ARI_URL: .* credentials") as caught:
        external_ari()
    assert "hunter2" not in caught.value.error_message


@pytest.mark.parametrize("missing", ["CALLBRIDGE_ARI_USERNAME", "CALLBRIDGE_ARI_PASSWORD"])
def test_credentials_are_needed(named: pytest.MonkeyPatch, missing: str) -> None:
    named.setenv("CALLBRIDGE_ARI_URL", "http://pbx:8088/ari")
    named.delenv(missing)
    with pytest.raises(ConfigurationError, match=missing):
        external_ari()
