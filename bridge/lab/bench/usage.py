"""What a process uses: CPU and memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used: CPU seconds since its start, and MiB that it has now."""

    cpu_s: float
    memory_mib: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Read it from /proc (proc(5): fields 14 and 15 of stat, VmRSS of status)."""
        process = Path("/proc") / str(pid)
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        memory = int(status["VmRSS"].split()[0]) / 1024
        return cls(ticks / os.sysconf("SC_CLK_TCK"), memory)


def busy_s() -> float:
    """Return CPU seconds that the machine has spent on everything (proc(5): /proc/stat)."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


class Meter:
    """CPU of several processes from ``start`` on. pids: theirs, by names."""

    OTHERS: Final = "others"
    """Everything else that runs on the machine."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before: dict[str, Usage] = {}
        self._busy_s = 0.0
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self._before, self._busy_s = self.now(), busy_s()

    def now(self) -> dict[str, Usage]:
        """Return what the processes have used up to now."""
        return {name: Usage.of(pid) for name, pid in self._pids.items()}

    def cpu_s(self) -> dict[str, float]:
        """Return CPU seconds since ``start``, of each process and of OTHERS."""
        used = {name: usage.cpu_s - self._before[name].cpu_s for name, usage in self.now().items()}
        return {**used, self.OTHERS: max(0.0, busy_s() - self._busy_s - sum(used.values()))}
