"""Bringing one Asterisk up to where it can be used, and down again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.lab.asterisk import process, report
from bridge.lab.asterisk.config import write_private
from bridge.lab.asterisk.external import probe
from bridge.model.errors import InstanceError, ServerError

if TYPE_CHECKING:
    import socket

    from bridge.lab.asterisk.record import Record, Shelf

_READY_TIMEOUT_S = 30.0
_COMMAND_TIMEOUT_S = 10.0
_KILLED_TIMEOUT_S = 5.0
_ABANDONED_TIMEOUT_S = 2.0
_HTTP_TIMEOUT_S = 2.0
_KEEPER = Path(__file__).with_name("keeper.py")

_keepers: dict[Path, subprocess.Popen[bytes]] = {}
"""Our children by their folder, until they have ended and been waited for."""


def launch(shelf: Shelf, record: Record, claim: socket.socket) -> int:
    """Start Asterisk and wait until ARI answers and SIP is served; return its process.

    Raises InstanceError with the report if it ends before or does not get there.
    """
    shelf.forget_process()
    report.set_aside(shelf.log)
    owner = record.owner
    order = {
        "state_dir": str(shelf.folder),
        "folders": [str(shelf.run), str(shelf.folder)],
        "command": [*_program(shelf, record), "-f", "-n"],
        "inherited": [claim.fileno()],
        "owner": [owner.pid, owner.started] if owner else None,
    }
    write_private(shelf.folder / "order.json", json.dumps(order))
    with (shelf.log / report.CONSOLE).open("ab") as console:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_KEEPER), str(shelf.folder / "order.json")],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd=shelf.folder,
            env=environment(record),
            pass_fds=(claim.fileno(),),
            start_new_session=True,
        )
    _keepers[shelf.folder] = keeper
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while not (
        (asterisk := shelf.asterisk(record))
        and _ari_answers(record)
        and _sip_is_served(shelf, record)
    ):
        if keeper.poll() is not None:
            what = f"Asterisk of instance {shelf.name} did not start: it "
            raise InstanceError(what + report.describe_end(shelf.exit()))
        if report.port_was_taken(shelf.log):
            raise InstanceError(
                f"Asterisk of instance {shelf.name} could not bind its ports "
                f"{record.ports.http} (TCP) and {record.ports.sip} (UDP)"
            )
        if time.monotonic() > deadline:
            raise InstanceError(
                f"Asterisk of instance {shelf.name} was not ready within {_READY_TIMEOUT_S:g} s"
            )
        time.sleep(0.02)
    return asterisk.pid


def halt(shelf: Shelf, record: Record, timeout: float) -> None:
    """End Asterisk: asked first, killed after ``timeout`` seconds; returns when both are gone."""
    asterisk, keeper = shelf.asterisk(record), shelf.keeper(record)
    if asterisk:
        asterisk.signal(signal.SIGTERM)
        if not _ends(asterisk, timeout):
            asterisk.signal(signal.SIGKILL)
    _wait_for_end(asterisk, keeper)


def kill(shelf: Shelf, record: Record) -> None:
    """End Asterisk as a crash would; returns when it is gone and its end is recorded."""
    asterisk, keeper = shelf.asterisk(record), shelf.keeper(record)
    if asterisk:
        asterisk.signal(signal.SIGKILL)
    _wait_for_end(asterisk, keeper)


def _wait_for_end(*ending: process.ProcessId | None) -> None:
    for one in ending:
        if one and not _ends(one, _KILLED_TIMEOUT_S):
            raise InstanceError(f"process {one.pid} does not end, not even when killed")
    reap()


def _ends(one: process.ProcessId, timeout: float) -> bool:
    return process.wait_until(lambda: not one.is_alive(), timeout)


def reap() -> None:
    """Wait for those of our children that have ended."""
    for folder, keeper in list(_keepers.items()):
        # Another thread may have waited for it, too, and started the next one meanwhile.
        if keeper.poll() is not None and _keepers.get(folder) is keeper:
            _keepers.pop(folder, None)


def abandon(shelf: Shelf, record: Record) -> None:
    """End what a failed start left running, however far it came."""
    halt(shelf, record, _ABANDONED_TIMEOUT_S)
    keeper = _keepers.pop(shelf.folder, None)
    if keeper:
        keeper.kill()
        keeper.wait()


def command(shelf: Shelf, record: Record, text: str) -> str:
    """Let the running Asterisk carry out a command of its console; return what it prints.

    Raises InstanceError if Asterisk cannot be reached.
    """
    program = [*_program(shelf, record), "-r", "-x", text]
    answer = process.run(program, timeout=_COMMAND_TIMEOUT_S, env=environment(record))
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip()
        raise InstanceError(f"instance {shelf.name} does not answer on its console: {said}")
    return answer.stdout


def environment(record: Record) -> dict[str, str]:
    """Return the environment that Asterisk runs in."""
    return process.plain_environment() if record.isolated else dict(os.environ)


def _program(shelf: Shelf, record: Record) -> list[str]:
    return [*record.command, "-C", str(shelf.folder / "etc/asterisk.conf")]


def _ari_answers(record: Record) -> bool:
    try:
        probe(record.info.ari, _HTTP_TIMEOUT_S)
    except ServerError:
        return False
    return True


def _sip_is_served(shelf: Shelf, record: Record) -> bool:
    try:
        if "fully booted" not in command(shelf, record, "core waitfullybooted"):
            return False
        shown = command(shelf, record, "pjsip show transport udp")
    except InstanceError:
        return False
    return f"{record.info.sip.host}:{record.ports.sip}" in shown
