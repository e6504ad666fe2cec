"""Commands that listen, whisper, barge in, record and watch, on a call of two phones."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import soundfile

from bridge.lab.hearing import TONES, Pcm, ToneMeter, level_dbfs, pcm_from_bytes, tone
from bridge.lab.phones import CallState, Phone, Tone
from bridge.lab.waiting import until
from tests.support.commands import Shell
from tests.support.pbx import Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

RATE = 16000
WHISPER_HZ = 1559.0


def sound(path: Path) -> Path:
    """A WAV file of 0.6 s of a tone."""
    pcm = tone(WHISPER_HZ, -15.0, 0.6, RATE)
    soundfile.write(path, pcm, RATE, subtype="PCM_16")
    return path


def read(path: Path) -> Pcm:
    samples: Pcm = soundfile.read(path, dtype="int16")[0]
    return samples


def steady(pcm: Pcm, who: str) -> Pcm | None:
    """Return the first 0.4 s in which somebody is heard without a gap; None when there are none.

    On a machine that is busy voices come late, and with gaps: what has a gap is no tone.
    """
    size = round(0.4 * RATE)
    stretches = (pcm[at : at + size] for at in range(0, len(pcm) - size + 1, RATE // 20))

    def is_steady(one: Pcm) -> bool:
        return abs(level_dbfs(one, RATE, TONES[who]) + 15) < 0.2

    return next(filter(is_steady, stretches), None)


@contextmanager
def piped() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yield the ends of a pipe: to read it, and to write it."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as read_end, os.fdopen(writer, "wb") as write_end:
        yield read_end, write_end


def seconds_of(pcm: Pcm, hz: float) -> float:
    levels = ToneMeter(RATE, hz, 320).track(pcm, 320)
    return sum(level > -30 for level in levels) * 0.02


async def nobody_observes(shell: Shell) -> None:
    async def nobody() -> bool:
        [call] = await shell.json("calls")
        return not call["observers"]

    await until_true(nobody, "nobody observes", within_s=15)


async def test_a_call_is_heard_into_a_file(
    shell: Shell, talking: tuple[Phone, Phone], tmp_path: Path
) -> None:
    del talking
    mix, alone = tmp_path / "mix.wav", tmp_path / "alone.wav"

    async def both_are_heard() -> bool:
        await shell.done("listen", "1002", "-o", str(mix), "--seconds", "1.2")
        return all(steady(read(mix), who) is not None for who in ("caller", "callee"))

    await until_true(both_are_heard, "both are heard", within_s=15)

    async def one_is_heard() -> bool:
        speaker = ("--speaker", "1002", "--seconds", "1.2")
        await shell.done("listen", "latest", "-o", str(alone), *speaker)
        return steady(read(alone), "callee") is not None

    await until_true(one_is_heard, "the callee is heard", within_s=15)
    heard = steady(read(alone), "callee")
    assert heard is not None
    assert level_dbfs(heard, RATE, TONES["caller"]) < -75
    # Where there is a gap, all tones are heard for a moment; a leak stays.
    assert seconds_of(read(alone), TONES["caller"]) < 0.1
    await nobody_observes(shell)


@pytest.mark.quiet
async def test_the_callee_alone_hears_a_whisper_and_both_a_barge(
    shell: Shell, talking: tuple[Phone, Phone], tmp_path: Path
) -> None:
    file = sound(tmp_path / "advice.wav")
    heard = tmp_path / "heard.wav"
    await shell.done("whisper", "1001", "--to", "1002", "--file", str(file), "-o", str(heard))
    await nobody_observes(shell)
    assert seconds_of(read(heard), TONES["caller"]) > 0.4, "who whispers hears the call"
    caller, callee = talking
    for phone in talking:
        await phone.record_position()
    assert 0.5 <= seconds_of(read(tmp_path / "callee.wav"), WHISPER_HZ) <= 0.7
    assert seconds_of(read(tmp_path / "caller.wav"), WHISPER_HZ) == 0
    nowhere = str(tmp_path / "none" / "heard.wav")
    deaf = await shell("barge", "1001", "--file", str(file), "-o", nowhere)
    assert (deaf.code, "cannot be written" in deaf.err) == (2, True), "and it is said, to its end"
    for phone in talking:
        await phone.record_position()
    assert 1.0 <= seconds_of(read(tmp_path / "callee.wav"), WHISPER_HZ) <= 1.35
    assert 0.5 <= seconds_of(read(tmp_path / "caller.wav"), WHISPER_HZ) <= 0.7
    assert caller.state is callee.state is CallState.CONFIRMED


async def test_a_person_on_a_phone_observes_and_changes_his_mode(
    pbx: Pbx, shell: Shell, talking: tuple[Phone, Phone]
) -> None:
    del talking
    boss = await pbx.phone("1003")
    said = await shell.done("spy", "1001", "--phone", "1003")
    assert "on 1003 (spy)" in said
    await boss.wait_state(CallState.CONFIRMED)
    [changed] = await shell.json("whisper", "1001", "--to", "1002", "--phone", "1003")
    assert (changed["mode"], changed["whispers_to"]) == ("whisper", ["callee"])
    assert "(whisper callee)" in await shell.done("calls")
    [loud] = await shell.json("barge", "latest", "--phone", "1003")
    assert loud["name"] == changed["name"], "the same person"
    await shell.done("dismiss", "1001", "1003")
    await boss.wait_state(CallState.DISCONNECTED)
    await nobody_observes(shell)
    assert (await shell("dismiss", "1001", "1003")).code == 3


async def test_who_observes_a_call_by_phone_is_taken_to_another(
    pbx: Pbx, shell: Shell, talking: tuple[Phone, Phone]
) -> None:
    del talking
    boss, third, fourth = [await pbx.phone(number) for number in ("1003", "1004", "1005")]
    await shell.done("barge", "1001", "--phone", "1003")
    await third.call("91005")
    await fourth.wait_state(CallState.CONFIRMED)

    async def known() -> bool:
        return bool(await shell.json("calls", "--at", "1005"))

    await until_true(known, "the other call is listed")
    [moved] = await shell.json("whisper", "1005", "--phone", "1003")
    assert (moved["mode"], moved["whispers_to"]) == ("whisper", ["callee"])
    assert boss.state is CallState.CONFIRMED
    where = {call["call_id"]: call["observers"] for call in await shell.json("calls")}
    assert len(where) == 2
    assert where.pop(moved["call_id"])[0]["name"] == moved["name"]
    assert list(where.values()) == [[]]
    await shell.done("dismiss", "1005", "1003")
    await boss.wait_state(CallState.DISCONNECTED)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_an_interrupted_listener_leaves_the_call_and_a_whole_file(
    shell: Shell, talking: tuple[Phone, Phone], tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    file = tmp_path / "heard.wav"
    async with shell.running("listen", "1001", "-o", str(file)) as process:
        # A second of it is on disk: its header is right while it grows.
        await until(lambda: _frames(file) > 0, "a second is on disk", within_s=20)
        process.send_signal(stop)
        out, err = await process.communicate()
    assert (process.returncode, out) == (code, b"")
    assert "s heard" in err.decode()
    assert _frames(file) >= RATE
    await nobody_observes(shell)
    assert all(phone.state is CallState.CONFIRMED for phone in talking)


def _frames(path: Path) -> int:
    try:
        with wave.open(str(path), "rb") as file:
            return file.getnframes()
    except (FileNotFoundError, EOFError, wave.Error):
        return 0


async def test_raw_audio_goes_through_a_pipe_whose_reader_may_leave(
    shell: Shell, talking: tuple[Phone, Phone]
) -> None:
    del talking
    with piped() as (reader, writer):
        stdout = writer.fileno()
        async with shell.running("listen", "1001", "-o", "-", stdout=stdout) as process:
            writer.close()
            data = b""
            async with asyncio.timeout(30):
                while steady(pcm_from_bytes(data), "callee") is None:
                    data += await asyncio.to_thread(reader.read, RATE // 5)
            reader.close()
            assert process.stderr is not None
            err = (await process.stderr.read()).decode()
            await process.wait()
    assert process.returncode == 141
    assert "Traceback" not in err
    assert "Error" not in err
    await nobody_observes(shell)


async def test_without_speakers_it_is_said_what_to_do(
    shell: Shell, talking: tuple[Phone, Phone]
) -> None:
    del talking
    said = await shell("listen", "1001")
    assert said.code == 2
    assert "--output FILE" in said.err
    silent = await shell("whisper", "1001")
    assert silent.code == 2
    assert "--file FILE" in silent.err
    await nobody_observes(shell)


async def test_a_call_is_recorded_and_its_files_are_fetched(
    pbx: Pbx, shell: Shell, tmp_path: Path
) -> None:
    for number, who in (("1001", "caller"), ("1002", "callee")):
        await pbx.phone(number, source=Tone(TONES[who]))
    await shell.done("originate", "1001", "--connect", "1002")
    [begun] = await shell.json("record", "1001")
    assert begun["state"] == "recording"
    [paused] = await shell.json("record", "1001", "--pause")
    assert paused["state"] == "paused"
    await shell.done("record", "1001", "--resume")

    async def recorded() -> bool:
        [recording] = await shell.json("recordings", "1001")
        return bool(recording["seconds"] > begun["seconds"] + 1.5)

    await until_true(recorded, "both have spoken for a while", within_s=10)
    [ended] = await shell.json("record", "1001", "--stop")
    assert ended["state"] == "ended"
    assert (await shell("record", "1001", "--stop")).code == 3
    [listed] = await shell.json("recordings", "1001")
    assert listed["recording_id"] == begun["recording_id"]
    await shell.done("recordings", "1001", "--fetch", str(tmp_path / "fetched"))
    [file] = (tmp_path / "fetched").glob("*.wav")
    [description] = (tmp_path / "fetched").glob("*.json")
    assert len(list((tmp_path / "fetched").iterdir())) == 2
    facts = json.loads(description.read_bytes())
    assert [part["file"] for part in facts["parts"]] == [file.name]
    assert facts["call_id"] == begun["call_id"]
    left, right = np.split(soundfile.read(file, dtype="int16")[0], 2, axis=1)
    assert seconds_of(left[:, 0], TONES["caller"]) > 0.3
    assert seconds_of(right[:, 0], TONES["callee"]) > 0.3
    assert seconds_of(left[:, 0], TONES["callee"]) < 0.1, "no more than a gap's edge"
    alone = steady(left[:, 0], "caller")
    assert alone is not None
    assert level_dbfs(alone, RATE, TONES["callee"]) < -75
    await shell.done("hangup", "1001")


async def test_events_are_followed_and_kept(shell: Shell, talking: tuple[Phone, Phone]) -> None:
    caller, _ = talking
    async with shell.running("events", "--follow", "--json") as process:
        assert process.stderr is not None
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert b"events follow" in await process.stderr.readline()
            await shell.done("note", "1001", "called for a refund")
            assert "called for a refund" in await shell.done("notes", "1002")
            await caller.hangup()
            ended = None
            while ended is None:
                event = json.loads(await process.stdout.readline())
                if event["type"] == "LIVE_CALL_ENDED":
                    ended = event
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130
    call_id = ended["call_id"]

    async def kept() -> bool:
        """The store is written to behind the call's back."""
        found = await shell.json("events", call_id)
        return "LIVE_CALL_ENDED" in [one["type"] for one in found]

    await until_true(kept, "what happened is kept")
    every = [one["seq"] for one in await shell.json("events", call_id)]
    assert every == sorted(every)
    last = await shell.json("events", call_id, "--limit", "2")
    assert [one["seq"] for one in last] == every[-2:], "the newest of them"
    assert "LIVE_CALL_ENDED" in await shell.done("events", call_id, "--type", "LIVE_CALL_ENDED")
    assert (await shell("history")).code == 0
    assert await shell.json("audit", "--by", "nobody") == []


async def test_following_a_call_ends_with_it_whoever_placed_it(
    shell: Shell, talking: tuple[Phone, Phone]
) -> None:
    caller, _ = talking
    async with shell.running("events", "1001", "--follow", "--type", "CALL_CONNECTED") as process:
        assert process.stderr is not None
        async with asyncio.timeout(30):
            assert b"events follow" in await process.stderr.readline()
            await caller.hangup()
            out, _ = await process.communicate()
    # Its end is known, and not told to who did not ask for it.
    assert (process.returncode, out) == (0, b"")


async def test_of_what_is_kept_one_type_is_listed(shell: Shell) -> None:
    said = await shell("events", "--type", "LIVE_CALL_BEGAN", "--type", "LIVE_CALL_ENDED")
    assert (said.code, said.out) == (2, "")
    assert "--follow" in said.err


async def test_a_reader_who_leaves_ends_the_events_quietly(
    shell: Shell, talking: tuple[Phone, Phone]
) -> None:
    caller, callee = talking
    with piped() as (reader, writer):
        stdout = writer.fileno()
        async with shell.running("events", "-f", "--json", stdout=stdout) as process:
            writer.close()
            assert process.stderr is not None
            await process.stderr.readline()
            reader.close()  # as `| head -0` does
            await caller.hangup()
            await until(lambda: callee.state is CallState.DISCONNECTED, "the call is over")
            err = await process.stderr.read()
            await process.wait()
    assert (process.returncode, err) == (141, b"")
