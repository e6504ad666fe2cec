"""How commands of the same user find a running daemon: a private file with its address and a key.

One file a daemon, in the user's runtime folder. The key is the next daemon's, too: who follows
events goes on with it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from bridge.model.errors import ConfigurationError

FOLDER_VARIABLE: Final = "CALLBRIDGE_RUN_DIR"
_PREFIX: Final = "serve-"
_SUFFIX: Final = ".json"
_LARGEST: Final = 10_000
_BORN: Final = 22 - 3


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """A running daemon. started_at: seconds since 1970."""

    url: str
    """Such as ``http://127.0.0.1:8100``, without ``/api/v1``."""
    key: str
    """Of an admin of all tenants."""
    pid: int
    started_at: float
    version: str = ""
    certificate: str = ""
    """Path of the server's own certificate, which is to be trusted with https; else empty."""
    process: str = ""
    """When the process began, as ``born`` tells it: its number may be another's one day."""


def folder() -> Path:
    """Return where run files are; CALLBRIDGE_RUN_DIR overrides it."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given)
    session = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    if session.is_dir():
        return session / "callbridge"
    return Path(tempfile.gettempdir()) / f"callbridge-{os.getuid()}"


def write(run: RunFile) -> Path:
    """Write a daemon's file, for this user alone (0600), whole or not at all.

    Raises ConfigurationError when the folder is somebody else's or cannot be written.
    """
    where = folder()
    path = where / f"{_PREFIX}{run.pid}{_SUFFIX}"
    draft = path.with_suffix(".new")
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(where.lstat(), directory=True):
            raise ConfigurationError(
                f"{where} can be written by others: chmod 700 it, or set {FOLDER_VARIABLE} to a "
                "folder of your own"
            )
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(run))
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}; set {FOLDER_VARIABLE} to a folder of "
            "your own"
        ) from error
    return path


def remove(pid: int) -> None:
    """Remove a daemon's file, if it is there."""
    with contextlib.suppress(OSError):
        (folder() / f"{_PREFIX}{pid}{_SUFFIX}").unlink()


def find() -> RunFile | None:
    """Return the daemon of this user that was started last and runs, None if none does.

    What others could have written is not believed; files of daemons that died are removed.
    """
    where = folder()
    try:
        if not _is_private(where.lstat(), directory=True):
            return None
        paths = list(where.glob(f"{_PREFIX}*{_SUFFIX}"))
    except OSError:
        return None
    found = [run for path in paths if (run := _read(path)) is not None]
    return max(found, key=lambda run: run.started_at, default=None)


def _read(path: Path) -> RunFile | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as file:
            if not _is_private(os.fstat(file.fileno()), directory=False):
                return None
            run = msgspec.json.decode(file.read(_LARGEST), type=RunFile)
    except (OSError, msgspec.MsgspecError):
        return None
    if _runs(run):
        return run
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def _is_private(found: os.stat_result, *, directory: bool) -> bool:
    """Tell whether it is this user's and nobody else can write it (a file: nor read it)."""
    kind = stat.S_ISDIR if directory else stat.S_ISREG
    others = 0o022 if directory else 0o077
    return kind(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & others


def born(pid: int) -> str:
    """Return when a process began, in ticks since the machine did; empty where nobody tells.

    Field 22 of ``/proc/PID/stat`` (proc_pid_stat(5)); the name before it may hold anything.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return fields[_BORN] if len(fields) > _BORN else ""


def _runs(run: RunFile) -> bool:
    try:
        os.kill(run.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not run.process or born(run.pid) in {"", run.process}
