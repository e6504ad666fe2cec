"""Files of a recording: whole at every moment, numbered, described, and removed in time."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.media.recording import (
    Facts,
    Pause,
    RecordingFiles,
    WavFile,
    load_soundfile,
    new_stem,
    sweep,
    timestamp,
)
from bridge.media.timeline import Samples
from bridge.model.errors import ConfigurationError

RATE = 8000
CALL = "0123456789ab"
DAY = 86_400.0


def stereo(seconds: float, value: int = 1000) -> Samples:
    return np.full((round(seconds * RATE), 2), (value, -value), np.int16)


def mono(seconds: float, value: int = 500) -> Samples:
    return np.full(round(seconds * RATE), value, np.int16)


def facts(**more: object) -> Facts:
    given = {"coaching": False, "part_seconds": 60.0, **more}
    return Facts("abcdef", CALL, "1001", "1002", 1_800_000_000.0, RATE, **given)  # type: ignore[arg-type] # settings are passed on


def test_a_file_is_whole_after_every_write(tmp_path: Path) -> None:
    file = WavFile(tmp_path / "one.wav", rate=RATE, channels=2)
    for number in range(1, 6):
        file.write(stereo(0.1, number))
        samples, rate = soundfile.read(file.path, dtype="int16")
        assert rate == RATE
        assert len(samples) == file.frames == number * 800
        assert samples[-1].tolist() == [number, -number]
        data = file.path.read_bytes()
        assert int.from_bytes(data[4:8], "little") == len(data) - 8
        assert int.from_bytes(data[40:44], "little") == len(data) - 44
    file.close()
    file.close()
    assert soundfile.info(file.path).frames == 4000


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        WavFile(path, rate=RATE, channels=1)
    files = RecordingFiles(tmp_path / "one", facts(in_folder=False))
    with pytest.raises(FileExistsError, match="choose another name"):
        files.begin()
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_parts_are_numbered_and_described(tmp_path: Path) -> None:
    files = RecordingFiles(tmp_path / "new" / "stem", facts(coaching=True, part_seconds=1.0))
    files.begin()
    files.write(stereo(1.5), mono(1.5), 0.0)
    during = json.loads(files.sidecar.read_text())
    assert [(p["file"], p["seconds"]) for p in during["parts"]] == [
        ("stem.wav", 1.0),
        ("stem.part2.wav", None),
    ]
    files.write(stereo(1.0), mono(1.0), 10.0)
    files.facts.pauses.append(Pause(1.5, 10.0))
    files.facts.end_cause = "stopped"
    files.close()
    told = json.loads(files.sidecar.read_text())
    assert [p["file"] for p in told["parts"]] == ["stem.wav", "stem.part2.wav", "stem.part3.wav"]
    assert [p["seconds"] for p in told["parts"]] == [1.0, 1.0, 0.5]
    assert [p["offset_seconds"] for p in told["parts"]] == [0.0, 1.0, 10.5]
    assert told["parts"][2]["began_at"] == timestamp(1_800_000_010.5)
    assert told["parts"][1]["coaching"] == "stem.coaching.part2.wav"
    assert soundfile.info(files.stem.parent / "stem.coaching.part2.wav").frames == RATE
    assert Facts.read(files.sidecar) == files.facts
    assert not list(files.stem.parent.glob("*.new"))


def test_nobody_else_reads_what_is_recorded_nor_who_called(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files = RecordingFiles(tmp_path / "one", facts(coaching=True))
        files.begin()
        files.write(stereo(0.1), mono(0.1), 0.0)
        files.close()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("one.json", "one.wav", "one.coaching.wav"), 0o640)


def test_two_programs_may_write_the_description_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = RecordingFiles(tmp_path / "one", facts())
    old.begin()
    new = RecordingFiles(tmp_path / "one", Facts.read(old.sidecar))
    new.facts.end_cause = "stopped"
    fsync, writing = os.fsync, [new]

    def meanwhile(fd: int) -> None:
        fsync(fd)
        if writing:
            writing.pop().note()

    monkeypatch.setattr(os, "fsync", meanwhile)
    old.note()
    assert not writing
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]
    assert Facts.read(old.sidecar) == old.facts


def test_nothing_is_left_of_a_description_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RecordingFiles(tmp_path / "one", facts())
    files.begin()
    old = files.sidecar.read_bytes()

    def full(_fd: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        files.note()
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]
    assert files.sidecar.read_bytes() == old


def test_a_part_whose_program_was_killed_gets_its_length(tmp_path: Path) -> None:
    files = RecordingFiles(tmp_path / "stem", facts())
    files.begin()
    files.write(stereo(0.7), mono(0.7), 0.0)
    again = RecordingFiles(tmp_path / "stem", Facts.read(files.sidecar))
    again.take_up()
    assert again.facts.parts[0].seconds == pytest.approx(0.7)
    again.write(stereo(0.3), mono(0.3), 5.0)
    again.close()
    assert [p.file for p in again.facts.parts] == ["stem.wav", "stem.part2.wav"]


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 2}', '{"format": 1}', "x"])
def test_what_is_no_description_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "it.json"
    path.write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011 - of JSON's own, or of ours
        Facts.read(path)


def full_disk(folder: str) -> None:
    """Write more than this process may."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    file = WavFile(Path(folder) / "one.wav", rate=RATE, channels=2)
    try:
        for _ in range(10):
            file.write(stereo(0.1))
    except OSError as error:
        sys.stdout.write(f"{file.frames} {error}")
    file.close()


def test_a_full_disk_is_an_error_and_what_was_written_plays(tmp_path: Path) -> None:
    code = (
        f"from tests.unit.media.test_recording_files import full_disk; full_disk({str(tmp_path)!r})"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frames, _, message = child.stdout.partition(" ")
    assert "one.wav" in message
    assert int(frames) == 4800
    assert soundfile.info(tmp_path / "one.wav").frames >= 4800


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'callbridge\[recording\]'"):
        load_soundfile()


# --- retention ------------------------------------------------------------------------------------


def old(folder: Path, days: float, *, size: int = 1000, ended: bool = True) -> str:
    """Make a recording of so many days ago; return its stem."""
    at = time.time() - days * DAY
    stem = new_stem(CALL, f"{round(days * 10):06x}", at)
    told = facts(ended_at=at if ended else None)
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{stem}{end}" for end in (".wav", ".part2.wav", ".coaching.wav", ".json")]
    for path in paths[:-1]:
        path.write_bytes(bytes(size))
    paths[-1].write_text(json.dumps(told.as_dict()))
    for path in paths:
        os.utime(path, (at, at))
    return stem


def stems(folder: Path) -> set[str]:
    return {path.name.split(".")[0] for path in folder.iterdir()}


def test_what_is_too_old_goes_with_all_its_files(tmp_path: Path) -> None:
    names = [old(tmp_path, days) for days in (1, 5, 10, 20)]
    removed = sweep(tmp_path, keep_seconds=7 * DAY, keep_bytes=None)
    assert len(removed) == 8
    assert stems(tmp_path) == set(names[:2])


def test_the_oldest_go_until_the_rest_fits(tmp_path: Path) -> None:
    names = [old(tmp_path, days, size=100_000) for days in (1, 5, 10, 20)]
    sweep(tmp_path, keep_seconds=None, keep_bytes=700_000)
    assert stems(tmp_path) == set(names[:2])


def test_files_that_are_not_ours_stay(tmp_path: Path) -> None:
    others = ["invoice.wav", "callbridge.json", "callbridge-2020.wav", f"x{old(tmp_path, 30)}.wav"]
    for name in others:
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, 0))
    folder = tmp_path / f"{new_stem(CALL, 'ffffff', 0.0)}.wav"
    folder.mkdir()
    os.utime(folder, (0, 0))
    sweep(tmp_path, keep_seconds=1.0, keep_bytes=1)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*others, folder.name}


def test_one_that_goes_on_stays_and_one_that_was_abandoned_goes(tmp_path: Path) -> None:
    mine = old(tmp_path, 30)
    fresh = old(tmp_path, 0, ended=False)
    under_way = old(tmp_path, 0.5, ended=False)
    old(tmp_path, 3, ended=False)
    sweep(tmp_path, keep_seconds=60.0, keep_bytes=1, spare=mine)
    assert stems(tmp_path) == {mine, fresh, under_way}


def test_a_named_file_sweeps_nothing(tmp_path: Path) -> None:
    name = old(tmp_path, 30)
    RecordingFiles(tmp_path / "mine", facts(in_folder=False, keep_seconds=1.0)).sweep()
    assert stems(tmp_path) == {name}
    RecordingFiles(tmp_path / "mine", facts(keep_seconds=1.0)).sweep()
    assert stems(tmp_path) == set()


def test_what_cannot_be_removed_stops_no_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old(tmp_path, 30)

    def refuse(_path: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(f"{missing_ok=}")

    monkeypatch.setattr(Path, "unlink", refuse)
    RecordingFiles(tmp_path / "mine", facts(keep_seconds=1.0)).sweep()
    assert "stay for now" in caplog.text
