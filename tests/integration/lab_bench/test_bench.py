"""The bench on a real Asterisk, cut short: it measures what it says, and leaves nothing."""

from __future__ import annotations

import pytest

from bridge.lab.bench import load, switching, transport
from bridge.lab.bench.figures import Chapter
from tests.support.pbx import Pbx

pytestmark = pytest.mark.asterisk


def medians(chapter: Chapter) -> dict[str, float]:
    return {figure.name: figure.median for figure in chapter.figures}


async def test_switching(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switching, "CALLS", 2)
    monkeypatch.setattr(switching, "ROUNDS", 1)
    chapter = await switching.measure(pbx.instance.info)
    [every] = [figure for figure in chapter.figures if figure.name == "all switches"]
    assert len(every.values) == 2 * len(switching.TURNS)
    assert 0 < every.median < 100
    assert 0 < medians(chapter)["answer()"] < 1000


async def test_transport(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "REQUESTS", 50)
    found = medians(await transport.measure(pbx.instance.info))
    assert 0 < found["REST over the events WebSocket"] < 50
    assert 0 < found["plain REST"] < 50


async def test_load(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "CALLS", (1, 2))
    monkeypatch.setattr(load, "SECONDS", 1.0)
    found = medians(await load.measure(pbx.instance))
    assert 0 < found["2 calls: CPU of Asterisk"] < 100
    assert 0 < found["2 calls: CPU of the program"] < 100
    assert found["1 call: memory of Asterisk"] > 10
    assert found["1 call: memory of the program"] > 10
