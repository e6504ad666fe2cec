"""What is said when no Asterisk is named."""

from __future__ import annotations

import pytest

from bridge.daemon.asterisk import ari_settings
from bridge.daemon.config import parse
from bridge.model.errors import ConfigurationError

NOBODY = parse('[asterisk]\ninstance = "there-is-none"\n', "callbridge.toml", {})


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "^no Asterisk: give asterisk.url, .*CALLBRIDGE_ARI_URL.*up --name there-is-none"),
        (
            {"CALLBRIDGE_ARI_URL": "http://127.0.0.1:9"},
            "^CALLBRIDGE_ARI_USERNAME, CALLBRIDGE_ARI_PASSWORD not set: .*give asterisk.url",
        ),
    ],
)
def test_the_configuration_is_named(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("URL", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"CALLBRIDGE_ARI_{name}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said):
        ari_settings(NOBODY)
