from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bridge.daemon import runfile
from bridge.daemon.runfile import RunFile, born
from bridge.model.errors import ConfigurationError

RUN = RunFile(url="http://127.0.0.1:8100", key="cbk_a_b", pid=os.getpid(), started_at=1.0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "run"
    monkeypatch.setenv("CALLBRIDGE_RUN_DIR", str(where))
    return where


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_was_written_is_found_and_nobody_else_can_read_it(folder: Path) -> None:
    assert runfile.find() is None
    path = runfile.write(RUN)
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert runfile.find() == RUN
    assert [each.name for each in folder.iterdir()] == [path.name]
    runfile.remove(RUN.pid)
    assert runfile.find() is None
    runfile.remove(RUN.pid)


def test_of_several_daemons_the_latest_is_found() -> None:
    runfile.write(RUN)
    other = RunFile(url="http://127.0.0.1:2", key="k", pid=os.getppid(), started_at=2.0)
    runfile.write(other)
    assert runfile.find() == other
    runfile.remove(other.pid)
    assert runfile.find() == RUN


def test_a_daemon_that_died_is_not_found_and_its_file_goes(folder: Path) -> None:
    runfile.write(RunFile(url="http://x", key="k", pid=dead_pid(), started_at=9.0))
    assert runfile.find() is None
    assert list(folder.iterdir()) == []


def test_what_others_can_read_is_not_believed(folder: Path) -> None:
    path = runfile.write(RUN)
    path.chmod(0o644)
    assert runfile.find() is None
    path.chmod(0o600)
    assert runfile.find() == RUN
    folder.chmod(0o777)
    assert runfile.find() is None
    with pytest.raises(ConfigurationError, match="chmod 700"):
        runfile.write(RUN)


def test_a_link_and_rubbish_are_not_believed(tmp_path: Path) -> None:
    path = runfile.write(RUN)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert runfile.find() is None
    path.unlink()
    path.write_bytes(b"{")
    path.chmod(0o600)
    assert runfile.find() is None


def test_a_folder_that_cannot_be_made_is_told(folder: Path) -> None:
    folder.write_text("in the way")
    with pytest.raises(ConfigurationError, match="CALLBRIDGE_RUN_DIR"):
        runfile.write(RUN)


def test_another_process_by_the_number_of_a_dead_daemon_is_not_believed(folder: Path) -> None:
    here = RunFile(
        url="http://x", key="k", pid=os.getpid(), started_at=1.0, process=born(os.getpid())
    )
    assert here.process
    runfile.write(here)
    assert runfile.find() == here
    runfile.write(msgspec.structs.replace(here, process="1"))
    assert runfile.find() is None
    assert list(folder.iterdir()) == []


def test_two_processes_were_born_at_two_times() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert int(born(child.pid)) > int(born(os.getpid()))
        assert child.stdin is not None
        child.stdin.close()
    assert born(child.pid) == ""
