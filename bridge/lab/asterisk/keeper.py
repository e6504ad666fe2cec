"""The parent of one Asterisk: a process of its own, so that its end is known whoever started it.

Run as a script with nothing but the standard library: ``python -I keeper.py ORDER.json``.
It writes ``process.json`` when Asterisk runs and ``exit.json`` when it has ended. If the order
names an owner, Asterisk ends with it and its folders go too. Should the keeper itself be killed,
the kernel ends Asterisk, prctl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_CHECK_OWNER_S = 0.5
_GRACE_S = 5.0


def main() -> None:
    """Keep one Asterisk."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    state = Path(order["state_dir"])
    # The claim on the ports is inherited by Asterisk too.
    inherited = tuple(order["inherited"])
    # A signal to the keeper alone is passed on; SIGCHLD must be blocked to be waited for.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    child = subprocess.Popen(
        order["command"],
        stdin=subprocess.DEVNULL,
        pass_fds=inherited,
        preexec_fn=_end_with_keeper,  # noqa: PLW1509 - this process has one thread
    )
    me, it = _started(os.getpid()), _started(child.pid)
    _write(state / "process.json", {"keeper": [os.getpid(), me], "asterisk": [child.pid, it]})
    began = time.monotonic()
    orphaned = _wait(child, order["owner"])
    seconds = time.monotonic() - began
    if orphaned:
        _remove(state, [Path(folder) for folder in order["folders"]])
    else:
        _write(state / "exit.json", {"code": child.returncode, "seconds": seconds})


def _end_with_keeper() -> None:
    """Prepare the child, between fork and exec: signals as usual, dead when the keeper is."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _wait(child: subprocess.Popen[bytes], owner: list[int] | None) -> bool:
    """Wait for the end, which the owner's death brings about; True if the owner is dead then."""
    if owner is None:
        child.wait()
        return False
    while child.poll() is None:
        if _started(owner[0]) != owner[1]:
            _stop(child)
        else:
            signal.sigtimedwait({signal.SIGCHLD}, _CHECK_OWNER_S)
    return _started(owner[0]) != owner[1]


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _remove(state: Path, folders: list[Path]) -> None:
    """Remove the instance's folders; its state goes at once, for whoever wants the name again."""
    for folder in folders:
        if folder != state:
            shutil.rmtree(folder, ignore_errors=True)
    doomed = state.with_name(f".{state.name}-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):  # somebody else was faster
        state.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _started(pid: int) -> int | None:
    """Return when a live process started, in ticks since the boot, proc(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _write(path: Path, content: dict[str, Any]) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    main()
