"""An instance as it stands on disk, so that any process of the user can find and end it.

::

    STATE/asterisk/            locked (flock) while an instance is started or stopped
      NAME/
        instance.json          Record: addresses, secrets, ports
        order.json             what the keeper was told
        process.json           who runs, by the keeper
        exit.json              how it ended, by the keeper
        etc/ log/ run/ ...     Asterisk's own
    STATE/crashes/NAME-TIME/   logs of instances that died or did not start
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from bridge.lab.asterisk.config import write_private
from bridge.lab.asterisk.folders import run_dir, state_root
from bridge.lab.asterisk.info import InstanceInfo
from bridge.lab.asterisk.ports import Ports
from bridge.lab.asterisk.process import ProcessId
from bridge.model.errors import BadArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

_T = TypeVar("_T")
_KEPT_CRASHES = 5
_ATTEMPTS = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


class Record(msgspec.Struct, frozen=True):
    """What is decided before an instance starts and stays through its restarts."""

    name: str
    info: InstanceInfo
    ports: Ports
    command: tuple[str, ...]
    """The program with what stands before its arguments."""
    isolated: bool
    """The program brings its own libraries."""
    owner: ProcessId | None
    """The process whose end is the instance's end too."""
    boot: str
    ready: bool = False


class Processes(msgspec.Struct, frozen=True):
    """The keeper and its Asterisk: number and start of each."""

    keeper: tuple[int, int]
    asterisk: tuple[int, int]


class Exit(msgspec.Struct, frozen=True):
    """How Asterisk ended: exit code, or minus the signal's number; after how many seconds."""

    code: int
    seconds: float


def check_name(name: str) -> str:
    """Return the name of an instance if it can be one, else raise BadArgumentError."""
    if not _NAME.fullmatch(name):
        raise BadArgumentError(
            f"{name!r} cannot name an instance: letters, digits, '_', '.' and '-', at most 40, "
            "the first a letter or digit"
        )
    return name


class Shelf:
    """The state folder of one instance."""

    def __init__(self, name: str) -> None:
        self.name = check_name(name)
        self.folder = instances_root() / name
        self.run = run_dir(self.folder)

    @property
    def log(self) -> Path:
        """Folder of the logs."""
        return self.folder / "log"

    def exists(self) -> bool:
        """Tell whether anything is kept under this name."""
        return self.folder.is_dir()

    def save(self, record: Record) -> None:
        """Keep the record, for the user's eyes only."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.folder / "instance.json", msgspec.json.encode(record).decode())

    def record(self) -> Record | None:
        """Return what was kept; None if there is nothing, or nothing that makes sense."""
        return _read(self.folder / "instance.json", Record)

    def exit(self) -> Exit | None:
        """Return how Asterisk ended, None while it runs or when nobody saw it."""
        return _read(self.folder / "exit.json", Exit)

    def asterisk(self, record: Record) -> ProcessId | None:
        """Return the process that was started last, alive or not."""
        processes = _read(self.folder / "process.json", Processes)
        return ProcessId(*processes.asterisk, record.boot) if processes else None

    def keeper(self, record: Record) -> ProcessId | None:
        """Return the process that keeps it, alive or not."""
        processes = _read(self.folder / "process.json", Processes)
        return ProcessId(*processes.keeper, record.boot) if processes else None

    def forget_process(self) -> None:
        """Remove what the keeper before wrote."""
        for name in ("process.json", "exit.json"):
            (self.folder / name).unlink(missing_ok=True)

    def keep_logs(self) -> Path | None:
        """Move the logs to the crashes, of which the last few are kept; return where they are."""
        if not self.log.is_dir() or not any(self.log.iterdir()):
            return None
        crashes = state_root() / "crashes"
        crashes.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = crashes / f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**6}"
        self.log.rename(kept)
        # By the time of its last entry, the log of a long life would be the oldest.
        os.utime(kept)
        for old in sorted(crashes.iterdir(), key=lambda path: path.stat().st_mtime_ns)[
            :-_KEPT_CRASHES
        ]:
            shutil.rmtree(old)
        return kept

    def remove(self) -> None:
        """Remove everything of the instance."""
        for folder in (self.run, self.folder):
            if folder.exists():
                shutil.rmtree(folder)


def instances_root() -> Path:
    """Return the folder of all instances."""
    return state_root() / "asterisk"


def names() -> list[str]:
    """Return the names under which something is kept."""
    with contextlib.suppress(FileNotFoundError):
        found = sorted(path.name for path in instances_root().iterdir())
        return [name for name in found if _NAME.fullmatch(name)]
    return []


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one process at a time start or stop instances.

    The folder itself is the lock, so that no lock file is left behind; the folder goes too if it is
    empty in the end.
    """
    root = instances_root()
    while True:
        descriptor = _opened(root)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            # Whoever held the lock before may have removed the folder.
            if os.fstat(descriptor).st_ino == root.stat().st_ino:
                break
        os.close(descriptor)
    try:
        yield
    finally:
        for folder in (root, state_root()):
            # Not empty: other instances or crashes are kept there.
            with contextlib.suppress(OSError):
                folder.rmdir()
        os.close(descriptor)


def _opened(root: Path) -> int:
    """Open the folder, made if need be; whoever holds the lock may remove it between the two."""
    attempts = 0
    while True:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            attempts += 1
            if attempts == _ATTEMPTS:
                raise


def _read(path: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
