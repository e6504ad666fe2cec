"""What somebody else's ARI client may do to a call: what of it is found, and that it is undone."""

from __future__ import annotations

import asyncio

import pytest

from bridge.lab.demo.measured import MeasuredMatrix
from bridge.model.audibility import Matrix
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.runtime.orders import GATE_VARIABLE
from bridge.topology.standing import AudibilityReport
from tests.integration.audibility.room import Room
from tests.integration.audibility.test_standing import matrix
from tests.support.pbx import until_true

pytestmark = pytest.mark.asterisk

ANN = Participant("ann")
SPYING = matrix(caller="callee", callee="caller", ann="caller callee")
ANN_TO_ALL = matrix(caller="ann", callee="ann")
BARGING = SPYING | ANN_TO_ALL


@pytest.fixture
async def spied(room: Room) -> Room:
    """A call on which Ann, on a phone, spies, and talks all the time."""
    await room.person("ann")
    assert (await room.look()).ok
    await room.hears(SPYING)
    return room


async def is_undone(room: Room, wanted: Matrix = SPYING) -> AudibilityReport:
    """Check once: the difference was told, is gone, and is on record. Return what was told."""
    await room.check()
    (told,) = room.reports
    report = await room.look()
    assert report.ok, str(report)
    assert report.standing == wanted
    await room.hears(wanted)
    assert [r.result for r in room.client.audit.records if r.who == "audibility"] == ["repaired"]
    return told


async def note(room: Room, channel_id: str, state: str) -> None:
    """Write our own variable."""
    await room.saboteur.channels.set_channel_var(
        channel_id=channel_id, variable=GATE_VARIABLE, value=state
    )


async def test_a_gate_that_is_opened_is_shut(spied: Room) -> None:
    end = await spied.object("snoop.ann.callee")
    await note(spied, end, "open")
    await spied.saboteur.channels.unmute(channel_id=end, direction="out")
    leaking = SPYING | {(CALLEE, ANN)}
    report = await spied.look()
    assert report.unwanted == {(CALLEE, ANN)}
    await spied.hears(leaking)
    told = await is_undone(spied)
    assert told.unwanted == {(CALLEE, ANN)}


async def test_a_gate_that_is_opened_in_secret_is_not_seen_and_is_shut_all_the_same(
    spied: Room,
) -> None:
    end = await spied.object("snoop.ann.callee")
    await spied.saboteur.channels.unmute(channel_id=end, direction="out")
    await spied.hears(SPYING | {(CALLEE, ANN)})
    assert (await spied.look()).ok, "if Asterisk tells now, the check need not shut in the dark"
    await spied.check()
    await spied.hears(SPYING)
    assert spied.reports == []


async def test_shutting_again_leaves_open_what_is_to_be_open(spied: Room) -> None:
    ann = spied.observers[ANN]
    for _ in range(5):
        await asyncio.gather(spied.check(), ann.barge())
        assert parties_hear(await spied.heard(0.1)) == {
            (CALLEE, CALLER),
            (CALLER, CALLEE),
            *ANN_TO_ALL,
        }
        await asyncio.gather(spied.check(), ann.spy())
        assert parties_hear(await spied.heard(0.1)) == {(CALLEE, CALLER), (CALLER, CALLEE)}
    assert spied.reports == []


def parties_hear(measured: MeasuredMatrix) -> Matrix:
    """Return what the parties hear. Ann may hear the tone that tells her of her mode."""
    assert not [cell for cell in measured.odd if cell[0] != ANN]
    return frozenset(cell for cell in measured.heard if cell[0] != ANN)


async def test_a_gate_that_is_shut_is_opened(spied: Room) -> None:
    await spied.observers[ANN].barge()
    end = await spied.object("snoop.ann.callee")
    await spied.saboteur.channels.mute(channel_id=end, direction="out")
    await note(spied, end, "closed")
    await spied.hears(BARGING - {(CALLEE, ANN)})
    told = await is_undone(spied, BARGING)
    assert told.missing == {(CALLEE, ANN)}


@pytest.mark.parametrize("far", [CALLER, CALLEE])
async def test_a_line_whose_bridge_is_removed_is_laid_again(spied: Room, far: str) -> None:
    await spied.saboteur.bridges.destroy(bridge_id=await spied.object(f"bridge.line.ann.{far}"))
    told = await is_undone(spied)
    assert told.missing == {(ANN, far)}


async def test_a_seat_whose_bridge_is_removed_hears_again(spied: Room) -> None:
    await spied.saboteur.bridges.destroy(bridge_id=await spied.object("bridge.seat"))
    told = await is_undone(spied)
    assert told.missing == {(ANN, CALLER), (ANN, CALLEE)}


async def test_an_end_that_is_moved_to_another_line_is_moved_back(spied: Room) -> None:
    await spied.observers[ANN].whisper("callee")
    end, other = (
        await spied.object("snoop.ann.callee"),
        await spied.object("bridge.line.ann.caller"),
    )
    await spied.saboteur.bridges.add_channel(bridge_id=other, channel=end)
    report = await spied.look()
    # How loud it is depends on how far the one voice lags behind the other.
    assert (CALLEE, CALLER) in report.doubled
    await is_undone(spied, SPYING | {(CALLEE, ANN)})


async def test_an_end_that_is_removed_is_made_again_at_once(spied: Room) -> None:
    end = await spied.object("snoop.ann.callee")
    await spied.saboteur.channels.hangup(channel_id=end)

    async def anew() -> bool:
        return end not in await spied.pbx.channels() and (await spied.look()).ok

    await until_true(anew, "the line is laid anew")
    await spied.hears(SPYING)
    assert spied.reports == []


async def test_a_stranger_in_a_line_is_turned_out(spied: Room) -> None:
    stranger = await spied.stranger()
    line = await spied.object("bridge.line.ann.callee")
    await spied.saboteur.bridges.add_channel(bridge_id=line, channel=stranger)
    told = await is_undone(spied)
    assert [(s.channel_id, s.place, s.intrudes) for s in told.strangers] == [(stranger, line, True)]
    assert {CALLEE, ANN} == {b for a, b in told.unwanted if "/" in a}
    assert stranger in await spied.pbx.channels()


async def test_a_strangers_snoop_on_an_observer_is_told_once_and_left(spied: Room) -> None:
    seat = spied.parties[ANN].channel_id
    snoop = await spied.saboteur.channels.snoop_channel(
        channel_id=seat, app=spied.saboteur.settings.application, spy="in"
    )
    await spied.check()
    await spied.check()
    (told,) = spied.reports
    assert [(s.channel_id, s.place, s.snoops) for s in told.strangers] == [(snoop.id, seat, True)]
    assert not (await spied.look()).ok
    await spied.saboteur.channels.hangup(channel_id=snoop.id)
    await spied.check()
    assert (await spied.look()).ok
    results = [r.result for r in spied.client.audit.records if r.who == "audibility"]
    assert len(results) == 1
    assert results[0].startswith("not repaired: ")


async def test_a_strangers_snoop_on_a_party_is_told_and_is_no_difference(spied: Room) -> None:
    snoop = await spied.saboteur.channels.snoop_channel(
        channel_id=spied.parties[CALLER].channel_id,
        app=spied.saboteur.settings.application,
        spy="both",
    )
    report = await spied.look()
    assert report.ok
    assert [(s.channel_id, s.intrudes) for s in report.strangers] == [(snoop.id, False)]
    await spied.saboteur.channels.hangup(channel_id=snoop.id)


async def test_between_observers_too(spied: Room) -> None:
    await spied.program("spy")
    wanted = SPYING | matrix(spy="caller callee")
    end = await spied.object("media.spy.ann")
    await note(spied, end, "open")
    await spied.saboteur.channels.unmute(channel_id=end, direction="out")
    told = await is_undone(spied, wanted)
    assert told.unwanted == {("spy", ANN)}


async def test_who_cannot_be_repaired_is_silenced(
    spied: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spied.observers[ANN].whisper("caller")
    executor = spied.observers[ANN]._engine.executor
    end = await spied.object("snoop.ann.callee")

    async def forever(_wanted: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(executor, "converge", forever)
        await note(spied, end, "open")
        await spied.saboteur.channels.unmute(channel_id=end, direction="out")
        await spied.check()

        async def cut() -> bool:
            return end not in await spied.pbx.channels()

        await until_true(cut, "the way by which Ann was heard is cut")
        heard = (await spied.heard()).heard
        assert (CALLEE, ANN) not in heard
        assert heard >= matrix(caller="callee", callee="caller")
        assert not (await spied.look()).ok
    (record,) = [r for r in spied.client.audit.records if r.who == "audibility"]
    assert record.result == "not repaired: callee hears ann, unwanted"
