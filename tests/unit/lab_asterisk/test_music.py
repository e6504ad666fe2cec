"""Music of one's own: which files are which class, and what Asterisk is given of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.lab.asterisk.music import convert, find
from bridge.lab.hearing import level_dbfs, tone
from bridge.model.errors import BadArgumentError


def write(path: Path, hz: float, rate: int = 44100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mono = tone(hz, -12.0, 0.5, rate)
    soundfile.write(path, np.stack([mono, mono], axis=1), rate, subtype="PCM_16")


def test_a_folder_is_a_class(tmp_path: Path) -> None:
    for name in ("b.flac", "a.wav", "jazz/tune.wav"):
        write(tmp_path / name, 333.0)
    (tmp_path / ".hidden").touch()
    (tmp_path / "empty").mkdir()
    write(tmp_path / ".git/tune.wav", 333.0)
    assert find(tmp_path) == {
        "default": [tmp_path / "a.wav", tmp_path / "b.flac"],
        "jazz": [tmp_path / "jazz/tune.wav"],
    }


def test_every_file_is_there_in_both_rates_and_sounds_the_same(tmp_path: Path) -> None:
    write(tmp_path / "in/jazz/tune.flac", 333.0)
    folders = convert(find(tmp_path / "in"), tmp_path / "out")
    assert folders == {"jazz": tmp_path / "out/jazz"}
    for name, rate in (("000.wav", 8000), ("000.wav16", 16000)):
        with (folders["jazz"] / name).open("rb") as file:
            pcm, found = soundfile.read(file, dtype="int16")
        assert (found, pcm.ndim) == (rate, 1)
        assert level_dbfs(pcm, rate, 333.0) == pytest.approx(-12.0, abs=0.5)


def test_what_is_no_music(tmp_path: Path) -> None:
    with pytest.raises(BadArgumentError, match="is no folder"):
        find(tmp_path / "nowhere")
    with pytest.raises(BadArgumentError, match="no sound file"):
        find(tmp_path)
    for name in ("a b", "general"):
        (tmp_path / name).mkdir()
        with pytest.raises(BadArgumentError, match=f"'{name}' cannot name a music class"):
            find(tmp_path)
        (tmp_path / name).rmdir()
    (tmp_path / "notes.txt").write_text("no sound")
    with pytest.raises(BadArgumentError, match=r"notes\.txt cannot be read as music"):
        convert(find(tmp_path), tmp_path / "out")
