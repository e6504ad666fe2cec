"""Whose endpoint is meant."""

from __future__ import annotations

import pytest

from bridge.model.endpoints import is_at

PLAIN = {"PJSIP/1002", "pjsip/1002", "1002"}
TEXTS = {
    *(*PLAIN, "PJSIP/1002@trunk", "1002@Trunk", "local/1002@queue", "Local/1002", "1002@queue"),
    *("", "100", "10021", "PJSIP", "PJSIP/", "PJSIP/100", "Trunk", "@Trunk", "queue"),
}


@pytest.mark.parametrize(
    ("endpoint", "meant"),
    [
        ("PJSIP/1002", PLAIN),
        ("PJSIP/1002@Trunk", {*PLAIN, "PJSIP/1002@trunk", "1002@Trunk"}),
        ("Local/1002@queue", {"local/1002@queue", "1002@queue", "Local/1002", "1002"}),
        ("", set()),
    ],
)
def test_an_endpoint_is_meant_by_its_name_and_its_extension(endpoint: str, meant: set[str]) -> None:
    assert {text for text in TEXTS if is_at(endpoint, text)} == meant
