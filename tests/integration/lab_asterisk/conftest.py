"""A state folder per test, and the certainty that nothing of it is left afterwards."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridge.lab.asterisk import Instance, folders, installation, package, progress
from bridge.lab.asterisk.instance import stop
from bridge.lab.asterisk.process import wait_until
from bridge.lab.asterisk.record import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.lab.asterisk.installation import Installation


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder that no other run shares; whatever a failed test left is stopped."""
    root = tmp_path / "state"
    monkeypatch.setenv("CALLBRIDGE_STATE_DIR", str(root))
    for name in ("URL", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"CALLBRIDGE_ARI_{name}", raising=False)
    yield root
    left = names()
    for name in left:
        stop(name, timeout=1)
    assert left == [], "the test left instances"
    # Whoever ends with an instance ends a moment after it.
    wait_until(lambda: not processes_naming(root), 5)
    assert processes_naming(root) == []


@pytest.fixture
def instance(state: Path) -> Iterator[Instance]:  # noqa: ARG001 - used for its effect
    """A running Asterisk, ended with this process."""
    started = Instance.start("test", tied=True)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def fetched() -> Installation:
    """Debian's package, as every test but those of the PATH uses it."""
    tree = package.provide(progress.Silent())
    return installation.Installation(
        tree.version, tree.command, tree.modules, tree.data, tree.sbin, isolated=True
    )


@pytest.fixture
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on the PATH, in a tree like ``/usr/local``."""
    folder = tmp_path / "prefix/bin"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, empty."""
    root = tmp_path / "cache"
    monkeypatch.setenv("CALLBRIDGE_CACHE_DIR", str(root))
    return folders.cache_root() / "asterisk"


@pytest.fixture
def script() -> Callable[[Path, str], Path]:
    """Write a shell script that can be run."""

    def write(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


def processes_naming(path: Path) -> list[str]:
    """Command lines of live processes that name a path."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        # A process may end while we look.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = cmdline.read_text(errors="replace").replace("\0", " ")
            if str(path) in text:
                found.append(text)
    return found
