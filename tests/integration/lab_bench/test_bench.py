"""The bench on a real Asterisk, cut short: it measures what it says, and leaves nothing."""

from __future__ import annotations

import pytest

from bridge.lab.bench import (
    company,
    handover,
    load,
    observing,
    restart,
    sockets,
    switching,
    transport,
    watching,
)
from bridge.lab.bench.figures import Chapter
from bridge.lab.bench.turns import TURNS
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]


def medians(chapter: Chapter) -> dict[str, float]:
    return {figure.name: figure.median for figure in chapter.figures}


async def test_switching(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switching, "CALLS", 2)
    monkeypatch.setattr(switching, "ROUNDS", 1)
    chapter = await switching.measure(pbx.instance.info)
    [every] = [figure for figure in chapter.figures if figure.name == "all switches"]
    assert len(every.values) == 2 * len(TURNS)
    assert 0 < every.median < 100
    assert 0 < medians(chapter)["answer()"] < 1000


async def test_observing(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "CALLS", {1: 1, 2: 1})
    monkeypatch.setattr(observing, "OBSERVERS", (1, 2))
    monkeypatch.setattr(observing, "ROUNDS", {1: 1, 2: 1})
    found = medians(await observing.measure(pbx.instance.info))
    for kind in observing.KINDS:
        for count in (1, 2):
            assert 0 < found[f"{kind.name}, {count} of them"] < 100
        assert 0 < found[f"{kind.name}, 2 of them: barge, at the last other observer"] < 150
        assert f"{kind.name}, 1 of them: barge, at the last other observer" not in found


async def test_transport(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "REQUESTS", 50)
    found = medians(await transport.measure(pbx.instance.info))
    assert 0 < found["REST over the events WebSocket"] < 50
    assert 0 < found["plain REST"] < 50


async def test_load(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "CALLS", (1, 2))
    monkeypatch.setattr(load, "OBSERVED", (1,))
    monkeypatch.setattr(load, "SECONDS", 2.0)
    found = medians(await load.measure(pbx.instance))
    for calls in ("2 calls", "1 call of others"):
        assert 0 < found[f"{calls}: CPU of Asterisk"] < 100
        assert 0 < found[f"{calls}: CPU of the parties"] < 100
    # The system counts in ticks of 10 ms, of which one call may take none.
    rows = [found[f"{calls}: CPU of the program"] for calls in ("2 calls", "1 call of others")]
    assert 0 < sum(rows) < 100
    assert found["1 call: memory of Asterisk"] > 10
    assert found["1 call: memory of the program"] > 10


async def test_what_is_lost_is_found(pbx: Pbx) -> None:
    async with load.open_bench(pbx.instance) as bench:
        await bench.place()
        [pair] = bench.pairs
        await bench.program.ask("keep")
        pair.clear()
        await pair.callee.wait_frames(25)
        voice, pair.caller.voice = pair.caller.voice, None
        await pair.callee.wait_frames(75)
        pair.caller.voice = voice
        await pair.callee.wait_frames(125)
        unheard, missing = await bench.unheard(), pair.heard().missing()
    # What Asterisk still had in its queue was heard: 0.4 s of the second of silence.
    assert 20 <= unheard.lost + unheard.held_up <= 60
    assert 20 <= missing.lost + missing.held_up <= 60


async def test_watching(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "CALLS", 2)
    monkeypatch.setattr(watching, "COMINGS", 1)
    monkeypatch.setattr(watching, "SECONDS", 1.0)
    found = medians(await watching.measure(pbx.instance))
    for what in ("not watching", "watching"):
        assert 0 < found[f"{what}: CPU of Asterisk, 2 calls"] < 100
        assert 0 < found[f"{what}: CPU of the program, to place and end a call"] < 1000


async def test_company(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company, "OBSERVERS", (1, 2))
    monkeypatch.setattr(company, "SECONDS", 1.0)
    found = medians(await company.measure(pbx.instance))
    # Two parties; for each observer by program two lines of two ends, and one among themselves.
    assert found["1 programs: channels"] == 2 + 4
    assert found["2 programs: channels"] == 2 + 8 + 2
    # By phone, besides: the phone, two anchors, and a snoop for tones.
    assert found["2 phones: channels"] >= 2 + 2 * 8 + 2


async def test_handover(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "CALLS", 2)
    monkeypatch.setattr(handover, "HOLDS", 1)
    monkeypatch.setattr(handover, "ROUNDS", 2)
    chapter = await handover.measure(pbx.instance.info)
    assert {figure.name: len(figure.values) for figure in chapter.figures} == dict.fromkeys(
        (handover.ACCEPTING, handover.ANSWERING, handover.HELD, handover.BACK), 2
    )
    found = medians(chapter)
    # Less than a frame after the key nobody can have heard anything.
    assert 10 < found[handover.ACCEPTING] < 500
    assert 10 < found[handover.ANSWERING] < 500
    assert 0 <= found[handover.HELD] < 500
    assert 0 <= found[handover.BACK] < 500


async def test_sockets(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "ROUNDS", 4)
    monkeypatch.setattr(sockets, "LISTENS_S", 0.5)
    chapter = await sockets.measure(pbx.instance.info)
    one, other, added, heard = (figure.values for figure in chapter.figures)
    assert len(one) == len(other) == len(added) > 0
    assert added == pytest.approx([by - own for own, by in zip(one, other, strict=True)])
    assert all(0 < ms < 1000 for ms in (*one, *other))
    assert all(0 <= ms < 500 for ms in heard)
    await pbx.empty()


async def test_restart(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart, "CALLS", 4)
    monkeypatch.setattr(restart, "RUNS", 1)
    monkeypatch.setattr(restart, "CHANGES", 2)
    monkeypatch.setattr(restart, "WRITES", 5)
    found = medians(await restart.measure(pbx.instance))
    assert 0 < found[restart.IN_HAND.format(count=4)] < found[restart.STARTED] < 20_000
    assert 0 < found[restart.CONNECTED] < found[restart.STARTED]
    # Both parties of a call remember it.
    assert found["writes for one change of mode"] == 2
    assert 0 < found["a write of it, answered"] < found["from the command to the last of them"]
    assert 100 < found["remembered of a call"] < 5000
