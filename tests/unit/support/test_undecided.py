"""Which failures are looked at again: all but a clear voice in the wrong ear."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.undecided import VARIABLE

TESTS = """
import pytest
from tests.support import undecided
from tests.support.hearing import WrongEarError

def test_passes():
    pass

def test_is_late():
    raise TimeoutError("late")

@pytest.mark.parametrize("who", ["a caller", "agent"])
def test_leaks(who):
    raise ExceptionGroup("both", [WrongEarError(who)])

@pytest.fixture
def left():
    yield
    raise AssertionError("a channel is left")

def test_leaves_something(left):
    pass
"""


@pytest.mark.parametrize("processes", [0, 1])
def test_what_failed_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(
        "from tests.support import undecided\n\npytest_configure = undecided.register\n"
    )
    written = tmp_path / "undecided"
    monkeypatch.setenv(VARIABLE, str(written))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    done = pytest_in(tmp_path, f"--numprocesses={processes}", "test_it.py")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert sorted(written.read_text().splitlines()) == [
        "test_it.py::test_is_late",
        "test_it.py::test_leaves_something",
    ]
    assert sorted((tmp_path / "undecided.final").read_text().splitlines()) == [
        "test_it.py::test_leaks[a caller]",
        "test_it.py::test_leaks[agent]",
    ]
    # As scripts/test runs them again.
    monkeypatch.delenv(VARIABLE)
    again = pytest_in(tmp_path, f"@{written}")
    assert "1 failed, 1 passed, 1 error" in again.stdout


def test_a_file_that_cannot_be_read_is_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_it.py").write_text("import nothing_of_this_name")
    (tmp_path / "conftest.py").write_text(
        "from tests.support import undecided\n\npytest_configure = undecided.register\n"
    )
    monkeypatch.setenv(VARIABLE, str(tmp_path / "undecided"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    assert pytest_in(tmp_path, "test_it.py").returncode != 0
    assert not (tmp_path / "undecided").exists()
    assert (tmp_path / "undecided.final").read_text() == "test_it.py\n"


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
