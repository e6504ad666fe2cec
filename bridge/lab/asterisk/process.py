"""Processes, told apart even when the kernel gives a number out again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.model.errors import InstanceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_POLL_S = 0.02


@dataclass(frozen=True)
class ProcessId:
    """A process of one boot of one machine: its number and when it started, proc(5)."""

    pid: int
    started: int
    """In clock ticks since the boot."""
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Identify a live process; None if there is none, or only a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name stands in brackets and may hold spaces and brackets itself.
        fields = stat.rpartition(")")[2].split()
        if fields[0] in {"Z", "X"}:
            return None
        return cls(pid, int(fields[19]), boot_id())

    def is_alive(self) -> bool:
        """Tell whether this very process still runs."""
        return ProcessId.of(self.pid) == self

    def signal(self, number: int) -> None:
        """Send a signal; a process that is gone is left in peace."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def boot_id() -> str:
    """Return what is different after every boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Wait until ``condition`` holds; False after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def run(
    command: Sequence[str | Path],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it wrote; its exit code is the caller's to judge.

    Raises InstanceError if the program hangs, OSError if it cannot be started.
    """
    try:
        return subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env=None if env is None else dict(env),
        )
    except subprocess.TimeoutExpired as error:
        raise InstanceError(f"{command[0]} did not end within {timeout:g} s") from error


def plain_environment() -> dict[str, str]:
    """Return our environment without what would lead a relocated program to other libraries."""
    dropped = ("LD_", "PYTHON", "CALLBRIDGE_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return kept | {"LC_ALL": "C.UTF-8"}
