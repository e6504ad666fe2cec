"""given a folder of sound files, when an Asterisk is started with it, then it has that music."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import soundfile

from bridge.lab.asterisk import Instance
from bridge.lab.asterisk.process import run
from bridge.lab.hearing import tone
from bridge.model.errors import BadArgumentError

pytestmark = pytest.mark.asterisk


def test_classes_of_ones_own(state: Path, tmp_path: Path) -> None:
    del state
    folder = tmp_path / "my music"
    (folder / "jazz").mkdir(parents=True)
    soundfile.write(folder / "a tune.ogg", tone(440.5, -12.0, 1.0, 44100), 44100)
    soundfile.write(folder / "jazz/b.flac", tone(440.5, -12.0, 1.0, 22050), 22050)
    up = [sys.executable, "-m", "bridge.cli.main", "asterisk", "up", "--music", str(folder)]
    started = run(up, timeout=60, env=dict(os.environ))
    assert started.returncode == 0, started.stderr
    instance = Instance.find()
    assert instance is not None
    try:
        shown = instance.command("moh show files")
        assert shown.count("Class: default") == shown.count("Class: jazz") == 1
        # One file each, in the rate that suits the listener.
        assert shown.count("/000") == 2
        again = run(up, timeout=60, env=dict(os.environ))
        assert again.returncode == 0
        assert "its music stays as it is" in again.stderr
    finally:
        instance.stop()


def test_a_folder_without_music_is_told_and_nothing_is_left(state: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadArgumentError, match="no sound file"):
        Instance.start("silent", tied=True, music=tmp_path / "empty")
    assert not [path for path in state.rglob("*") if path.name == "silent"]
