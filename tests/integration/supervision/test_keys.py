"""A supervisor's keys, from his phone to the parties' ears, and the tones that he alone hears."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.lab.ears import DirectParty
from bridge.lab.hearing import TONES, ToneMeter
from bridge.lab.phones import CallState, Codec, Phone, Silence, Tone
from bridge.lab.waiting import until
from bridge.model.modes import AudioMode
from bridge.runtime.cues import Cue
from bridge.sdk import Observer
from tests.integration.supervision.floor import (
    BOTH_HEAR,
    PARTIES,
    Floor,
    Talk,
    hears,
    opened,
    will_hear,
)
from tests.support.pbx import Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

VOICE = Tone(TONES["supervisor"], -15.0)
CUE_HZ = (220.0, 440.0, 660.0, 880.0)


@dataclass
class Boss:
    """A supervisor at a phone that records what he hears."""

    observer: Observer
    phone: Phone
    record: Path
    floor: Floor

    async def press(self, keys: str, *, by_info: bool = False) -> float:
        """Press keys; return when, in seconds of the recording."""
        position = await self.phone.record_position()
        await self.phone.dtmf(keys, by_info=by_info)
        return position.seconds

    async def is_in(self, mode: AudioMode, *to: str) -> None:
        """Wait until he takes part in that way."""
        await until(
            lambda: (self.observer.mode, set(self.observer.whispers_to)) == (mode, set(to)),
            f"{mode} {to}",
        )

    async def by_keys(self) -> list[tuple[str, str, str]]:
        """Return what the audit says that keys have done."""
        records = self.floor.client.audit.records
        return [(r.what, r.by, r.result) for r in records if r.by.startswith("key")]

    async def heard_cues(self, since: float) -> str:
        """Let the phone go; return the changes of pitch that he heard, by their first figures."""
        await self.phone.stop()
        pcm, rate = soundfile.read(self.record, dtype="int16")
        window = rate // 50
        parts = {hz: ToneMeter(rate, hz, window).track(pcm, window // 2) for hz in CUE_HZ}
        figures = ""
        for n in range(round(since * 100), len(next(iter(parts.values())))):
            hz, level = max(((hz, track[n]) for hz, track in parts.items()), key=lambda p: p[1])
            figures += str(hz)[0] if level > -35 else ""
        return changes(figures)


async def sit(floor: Floor, talk: Talk, record: Path, **options: Any) -> Boss:
    settings = {"codec": Codec.L16_16000, "source": VOICE, "record": record, **options}
    phone = await floor.pbx.phone("1005", **settings)
    observer = await floor.client.observe(talk.call_id, "boss", phone="1005")
    return Boss(observer, phone, record, floor)


def with_boss(*listeners: str) -> dict[str, set[str]]:
    return {
        who: whom | ({"supervisor"} if who in listeners else set())
        for who, whom in BOTH_HEAR.items()
    }


@pytest.mark.quiet
@pytest.mark.parametrize("by_info", [False, True], ids=["RFC 4733", "SIP INFO"])
async def test_the_mode_by_keys(floor: Floor, tmp_path: Path, *, by_info: bool) -> None:
    talk = await floor.foreign_call()
    boss = await sit(floor, talk, tmp_path / "boss.wav")
    await talk.each_other()
    steps = [
        ("5", AudioMode.WHISPER, {"callee"}),
        ("6", AudioMode.BARGE, PARTIES),
        ("5", AudioMode.WHISPER, {"callee"}),
        ("4", AudioMode.SPY, set[str]()),
        ("6", AudioMode.BARGE, PARTIES),
    ]
    for key, mode, listeners in steps:
        await boss.press(key, by_info=by_info)
        await boss.is_in(mode, *(listeners if mode is AudioMode.WHISPER else ()))
        await will_hear(talk.parties, with_boss(*listeners))
    assert [what for what, _, _ in await boss.by_keys()] == [
        "whisper to callee",
        "barge",
        "whisper to callee",
        "spy",
        "barge",
    ]
    await boss.press("#", by_info=by_info)
    assert await boss.observer.wait_left() == "left"
    await boss.phone.wait_state(CallState.DISCONNECTED)
    await hears(talk.parties, BOTH_HEAR)
    await talk.nothing_lost()


@pytest.mark.parametrize("by_info", [False, True], ids=["RFC 4733", "SIP INFO"])
async def test_the_tones_that_he_alone_hears(
    floor: Floor, tmp_path: Path, *, by_info: bool
) -> None:
    talks = [await floor.own_call(), await floor.own_call()]
    parties = [party for talk in talks for party in talk.parties.values()]
    boss = await sit(floor, talks[0], tmp_path / "boss.wav", source=Silence(), codec=Codec.PCMU)
    for party in parties:
        party.voice = None
    await until_true(lambda: silent(parties), "nobody says anything")
    begin = (await boss.phone.record_position()).seconds
    steps = [
        *(("5", AudioMode.WHISPER), ("6", AudioMode.BARGE), ("4", AudioMode.SPY)),
        *(("6", AudioMode.BARGE), ("*", AudioMode.SPY)),
        *(("6", AudioMode.BARGE), ("*", AudioMode.SPY)),
    ]
    for key, mode in steps:
        await boss.press(key, by_info=by_info)
        await until(lambda mode=mode: boss.observer.mode is mode, f"{mode}")  # type: ignore[misc]  # bound early on purpose
        # The longest is 0.25 s.
        await frames_pass(parties[0], 20)
    await talks[1].over()
    await until_true(lambda: one_call(floor), "one call is left")
    for key in "*#":
        await boss.press(key, by_info=by_info)
        await frames_pass(parties[0], 20)
    assert await boss.observer.wait_left() == "left"
    assert [loudest(party) for party in parties] == [0] * len(parties)
    cues = [Cue.WHISPER, Cue.BARGE, Cue.SPY, Cue.BARGE, Cue.NEXT, Cue.BARGE, Cue.NEXT]
    expected = changes("".join(map(pitches, [*cues, Cue.REFUSED, Cue.LEAVING])))
    assert await boss.heard_cues(begin) == expected


async def one_call(floor: Floor) -> bool:
    return len(await floor.client.live_calls()) == 1


async def silent(parties: list[DirectParty]) -> bool:
    """Whether nobody hears anything in a while; what was heard before is forgotten."""
    for party in parties:
        party.clear()
    await asyncio.gather(*(party.wait_frames(10) for party in parties))
    return not any(map(loudest, parties))


async def frames_pass(party: DirectParty, count: int) -> None:
    await party.wait_frames(len(party.frames) + count)


def loudest(party: DirectParty) -> int:
    return int(np.abs(party.pcm().astype(np.int32)).max())


def pitches(cue: Cue) -> str:
    """Return the first figures of its pitches in Hz."""
    parts = [part.lstrip("!").partition("/")[0] for part in cue.split("|")]
    return "".join(hz[0] for hz in parts if hz != "0")


def changes(figures: str) -> str:
    """Return the figures without repetitions: a frame may be lost on the way to a phone."""
    return "".join(figure for figure, _ in groupby(figures))


async def test_keys_that_mean_nothing(floor: Floor, tmp_path: Path) -> None:
    talk = await floor.foreign_call()
    boss = await sit(floor, talk, tmp_path / "boss.wav")
    await boss.press("1237890")
    await boss.press("5")
    await boss.is_in(AudioMode.WHISPER, "callee")

    async def on_record() -> bool:
        return bool(await boss.by_keys())

    await until_true(on_record, "it is on record")
    assert [by for _, by, _ in await boss.by_keys()] == ["key 5"]
    await will_hear(talk.parties, {"caller": {"callee"}, "callee": {"caller", "supervisor"}})


async def test_there_is_no_next_call(floor: Floor, tmp_path: Path) -> None:
    talk = await floor.own_call()
    boss = await sit(floor, talk, tmp_path / "boss.wav")
    await boss.observer.barge()
    await will_hear(talk.parties, with_boss(*PARTIES))
    await boss.press("*")
    await boss.press("5")
    await boss.is_in(AudioMode.WHISPER, "callee")
    await will_hear(talk.parties, with_boss("callee"))


@pytest.mark.quiet
@pytest.mark.parametrize("kinds", [("own", "foreign"), ("foreign", "own", "foreign")])
async def test_from_call_to_call(floor: Floor, tmp_path: Path, kinds: tuple[str, ...]) -> None:
    talks = [await (floor.own_call() if k == "own" else floor.foreign_call()) for k in kinds]
    boss = await sit(floor, talks[0], tmp_path / "boss.wav")
    for talk in talks:
        await talk.each_other()
    for talk in [*talks[1:], talks[0]]:
        await boss.press("6")
        await boss.is_in(AudioMode.BARGE)
        await boss.press("*")
        await until(lambda talk=talk: boss.observer.call_id == talk.call_id, "the next call")  # type: ignore[misc]  # bound early on purpose
        await boss.is_in(AudioMode.SPY)
        for each in talks:
            await hears(each.parties, BOTH_HEAR)
    await boss.press("5")
    await boss.is_in(AudioMode.WHISPER, "callee")
    await will_hear(talks[0].parties, with_boss("callee"))
    for talk in talks[1:]:
        await hears(talk.parties, BOTH_HEAR)
    for talk in talks:
        await talk.nothing_lost()
    assert boss.phone.state is CallState.CONFIRMED


@pytest.mark.quiet
async def test_keys_in_a_hurry_and_commands_at_the_same_moment(
    floor: Floor, tmp_path: Path
) -> None:
    talk = await floor.own_call()
    boss = await sit(floor, talk, tmp_path / "boss.wav")
    await talk.each_other()
    await boss.press("456456454565")
    await asyncio.gather(
        boss.press("464646", by_info=True),
        *(c() for c in [boss.observer.barge, boss.observer.spy, boss.observer.whisper] * 4),
    )
    await boss.press("4")
    await until(lambda: boss.observer._engine.state.turnings == (), "nothing is under way")
    await boss.is_in(AudioMode.SPY)
    await will_hear(talk.parties, BOTH_HEAR)
    await boss.press("6")
    await boss.is_in(AudioMode.BARGE)
    await will_hear(talk.parties, with_boss(*PARTIES))
    assert {result for _, _, result in await boss.by_keys()} == {"done"}
    await talk.nothing_lost()


async def test_keys_of_ones_own_choice(pbx: Pbx, tmp_path: Path) -> None:
    keys = {
        "1": "spy",
        "2": "whisper",
        "3": "barge",
        "7": "take_over",
        "8": "give_back",
        "0": "leave",
    }
    async with opened(pbx, keys=keys) as floor:
        talk = await floor.own_call()
        boss = await sit(floor, talk, tmp_path / "boss.wav")
        await boss.press("456*#3")
        await boss.is_in(AudioMode.BARGE)
        await will_hear(talk.parties, with_boss(*PARTIES))
        await boss.press("7")
        await will_hear(
            talk.parties, {"caller": {"supervisor"}, "callee": {"caller", "supervisor"}}
        )
        await boss.press("8")
        await boss.is_in(AudioMode.SPY)
        await will_hear(talk.parties, BOTH_HEAR)
        await boss.press("0")
        assert await boss.observer.wait_left() == "left"
        assert [by for _, by, _ in await boss.by_keys()] == ["key 3", "key 7", "key 8"]


async def test_a_foreign_call_is_not_taken_over_by_a_key(pbx: Pbx, tmp_path: Path) -> None:
    async with opened(pbx, keys={"7": "take_over", "8": "give_back"}) as floor:
        talk = await floor.foreign_call()
        boss = await sit(floor, talk, tmp_path / "boss.wav")
        await boss.press("7")
        await until(lambda: len(floor.client.audit.records) >= 2, "it is refused")
        await boss.press("8")
        await until(lambda: len(floor.client.audit.records) >= 3, "it is refused")
        assert ["not taken over" in result for _, _, result in await boss.by_keys()] == [True] * 2
        await will_hear(talk.parties, BOTH_HEAR)


async def test_no_keys_at_all(pbx: Pbx, tmp_path: Path) -> None:
    async with opened(pbx, keys={}) as floor:
        talk = await floor.foreign_call()
        boss = await sit(floor, talk, tmp_path / "boss.wav")
        await talk.each_other()
        await boss.press("456*#")
        await will_hear(talk.parties, BOTH_HEAR)
        assert (boss.observer.mode, boss.observer.left) == ("spy", None)
