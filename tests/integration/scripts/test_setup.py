"""given a repository and an interpreter, when the scripts set up, then it is done once.

The interpreter is a stand-in that makes an environment of stand-ins and notes what it was asked.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridge.lab.asterisk.process import run

if TYPE_CHECKING:
    import subprocess

SCRIPTS = Path(__file__).parents[3] / "scripts"

INTERPRETER = """#!/bin/bash
echo "$*" >>"$NOTES"
case "$*" in
    *version_info*) exit "$TOO_OLD" ;;
    *ensurepip*) exit 0 ;;
    "-m venv "*)
        mkdir -p "$3/bin"
        for name in python pip callbridge; do
            { echo '#!/bin/bash'; echo "# $3/bin/python"; tail -n +2 "$0"; } >"$3/bin/$name"
            chmod +x "$3/bin/$name"
        done ;;
    *"pip install"*) exit "$PIP_FAILS" ;;
esac
"""


@dataclass(frozen=True)
class Repository:
    root: Path

    @property
    def runs(self) -> list[str]:
        """What interpreters were asked, one entry for each time that one was started."""
        notes = self.root / "notes"
        return notes.read_text().splitlines() if notes.exists() else []

    @property
    def installs(self) -> int:
        return sum("pip install" in line for line in self.runs)

    @property
    def is_stamped(self) -> bool:
        return (self.root / ".venv/callbridge-setup").exists()

    def set_up(
        self, *, python: str = "../python", too_old: int = 0, pip_fails: int = 0
    ) -> subprocess.CompletedProcess[str]:
        variables = {
            "CALLBRIDGE_PYTHON": python,
            "NOTES": str(self.root / "notes"),
            "TOO_OLD": str(too_old),
            "PIP_FAILS": str(pip_fails),
        }
        return run([self.root / "scripts/_setup.sh"], timeout=20, env=os.environ | variables)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    root = tmp_path / "repo"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPTS / "_setup.sh", root / "scripts")
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "constraints.txt").write_text("a==1\n")
    (tmp_path / "python").write_text(INTERPRETER)
    (tmp_path / "python").chmod(0o755)
    return Repository(root)


def test_the_second_time_it_starts_no_interpreter(repository: Repository) -> None:
    first = repository.set_up()
    assert first.returncode == 0, first.stderr
    assert repository.installs == 1
    before = repository.runs
    second = repository.set_up()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert repository.runs == before


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_what_is_needed_installs_again(repository: Repository, name: str) -> None:
    repository.set_up()
    with (repository.root / name).open("a") as stream:
        stream.write("b==2\n")
    assert repository.set_up().returncode == 0
    assert repository.installs == 2


def test_a_failed_install_is_done_again(repository: Repository) -> None:
    failed = repository.set_up(pip_fails=1)
    assert failed.returncode == 1
    assert "pip could not install" in failed.stderr
    assert not repository.is_stamped
    assert repository.set_up().returncode == 0
    assert repository.is_stamped


def test_a_repository_that_was_moved_gets_a_new_environment(repository: Repository) -> None:
    repository.set_up()
    moved = Repository(repository.root.with_name("moved"))
    repository.root.rename(moved.root)
    again = moved.set_up()
    assert again.returncode == 0
    assert "making .venv" in again.stderr
    assert str(moved.root) in (moved.root / ".venv/bin/pip").read_text()


def test_an_interpreter_that_is_too_old_is_refused(repository: Repository) -> None:
    answer = repository.set_up(too_old=1)
    assert answer.returncode == 1
    assert "not a Python 3.11 or later" in answer.stderr
    assert not (repository.root / ".venv").exists()


def test_without_any_interpreter_it_says_what_to_do(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "cut", "dirname", "env", "flock", "rm", "sha256sum"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    answer = repository.set_up(python="")
    assert answer.returncode == 1
    assert "no Python 3.11 or later was found" in answer.stderr
    assert "CALLBRIDGE_PYTHON=" in answer.stderr
    assert not (repository.root / ".venv").exists()
