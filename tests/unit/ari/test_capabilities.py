"""Verdicts about a server, from its modules or its version."""

from __future__ import annotations

import pytest

from bridge.ari.capabilities import (
    REST_OVER_WEBSOCKET_SINCE,
    WEBSOCKET_MEDIA_SINCE,
    from_modules,
    from_version,
    is_since,
    parse_version,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("22.10.1", (22, 10, 1)),
        ("22.10.1+dfsg+~cs6.17.60671434-1", (22, 10, 1)),
        ("20.16.0-rc2", (20, 16, 0)),
        ("certified/20.7-cert1", (20, 7)),
        ("certified-22.8", (22, 8)),
        ("GIT-master-1a2b", ()),
        ("", ()),
    ],
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("text", "rest", "media"),
    [
        ("18.26.0", False, False),
        ("20.13.0", False, False),
        ("20.14.0", True, False),
        ("20.16.0", True, True),
        ("21.8.0", False, False),
        ("21.9.0", True, False),
        ("22.3.0", False, False),
        ("22.4.0", True, False),
        ("22.6.0", True, True),
        ("22.10.1", True, True),
        ("23.0.0", True, True),
        ("GIT-master", False, False),
    ],
)
def test_since_when(text: str, rest: bool, media: bool) -> None:  # noqa: FBT001 - the table's
    version = parse_version(text)
    assert is_since(version, REST_OVER_WEBSOCKET_SINCE) is rest
    assert is_since(version, WEBSOCKET_MEDIA_SINCE) is media
    assert from_version(text).websocket_media is media


def test_modules_decide_where_they_are_shown() -> None:
    found = from_modules("22.10.1", ["res_stasis_snoop.so", "bridge_softmix.so"])
    assert (found.snoop, found.softmix, found.websocket_media) == (True, True, False)
    assert found.sample_rates == (8000,)
    assert found.sources["snoop"] == "asterisk/modules"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        *(("20.20.1", False), ("20.21.0", True), ("21.12.3", False), ("22.10.1", False)),
        *(("22.11.0", True), ("23.4.0", False), ("23.5.0", True), ("24.0.0", True), ("", False)),
    ],
)
def test_since_when_a_refer_does_no_harm(text: str, verdict: bool) -> None:  # noqa: FBT001 - the table's
    assert from_version(text).refer_sub is from_modules(text, []).refer_sub is verdict


def test_the_description_tells_verdict_and_source() -> None:
    found = from_modules("22.10.1", ["chan_websocket.so", "codec_resample.so"])
    found = found.with_rest_over_websocket("asked", verdict=True)
    found = found.with_whisper_to_silent_leg("measured at start", verdict=False)
    text = found.describe()
    assert text.splitlines()[0] == "Asterisk 22.10.1"
    assert "REST over WebSocket      yes  [asked]" in text
    assert "snoop (spy, whisper)     no  [asterisk/modules]" in text
    assert "sample rates             8 kHz, 16 kHz, 24 kHz" in text
    assert "REFER, Refer-Sub: false  no  [version 22.10.1]" in text
    assert "whisper to a silent leg  no  [measured at start]" in text


def test_what_was_not_measured_is_said_to_be_so() -> None:
    assert "whisper to a silent leg  not measured\n" in from_version("").describe() + "\n"
    assert from_version("").describe().startswith("Asterisk (version unknown)")
