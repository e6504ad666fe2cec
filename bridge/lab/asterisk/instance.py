"""An Asterisk that runs for us: started, found again, stopped, from any process of the user."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bridge.lab.asterisk import config, launch, music, process, report
from bridge.lab.asterisk.installation import find as find_installation
from bridge.lab.asterisk.ports import claim, claim_any
from bridge.lab.asterisk.progress import Silent
from bridge.lab.asterisk.record import Record, Shelf, locked, names
from bridge.model.errors import InstanceError

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from bridge.lab.asterisk.info import InstanceInfo
    from bridge.lab.asterisk.installation import Installation
    from bridge.lab.asterisk.ports import Ports
    from bridge.lab.asterisk.progress import Progress

_ATTEMPTS = 3
_CLAIM_TIMEOUT_S = 5.0
_NOTED_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an instance is to be like."""

    tied: bool
    application: str
    music: Path | None


class Instance:
    """A running Asterisk, by name. All functions block.

    Made by ``start``, ``ensure`` and ``find``. Starting and stopping is safe from several
    processes at once.
    """

    def __init__(self, shelf: Shelf, record: Record, pid: int) -> None:
        self._shelf = shelf
        self._record = record
        self._last_pid = pid

    def __repr__(self) -> str:
        """Name, process and address; no secrets."""
        return f"<Instance {self.name} pid={self.pid} {self.info.ari.url}>"

    @property
    def name(self) -> str:
        """The name it was started under."""
        return self._shelf.name

    @property
    def info(self) -> InstanceInfo:
        """Where it is reached and who may sign in; the same after a restart."""
        return self._record.info

    @property
    def state_dir(self) -> Path:
        """The folder that holds all it writes; gone after ``stop``."""
        return self._shelf.folder

    @property
    def pid(self) -> int:
        """Asterisk's process; another one after a restart."""
        asterisk = self._shelf.asterisk(self._record)
        if asterisk:
            self._last_pid = asterisk.pid
        return self._last_pid

    @classmethod
    def start(
        cls,
        name: str = "default",
        *,
        progress: Progress | None = None,
        tied: bool = False,
        application: str = "callbridge",
        music: Path | None = None,
    ) -> Instance:
        """Start an Asterisk whose phones reach the Stasis application named.

        music: a folder of sound files for those on hold; a folder in it is a class of its name.
        With ``tied`` it ends with this process, however that ends, and leaves nothing.
        Raises InstanceError if the name runs already or Asterisk does not start, PackageError if
        there is no Asterisk to be had, BadArgumentError for a folder without music.
        """
        wanted = _Wanted(tied=tied, application=application, music=music)
        instance, is_new = cls._find_or_start(name, wanted, progress or Silent())
        if not is_new:
            raise InstanceError(
                f"instance {name} runs already (pid {instance.pid}): stop it first "
                f"(callbridge asterisk down --name {name}), or use Instance.ensure"
            )
        return instance

    @classmethod
    def ensure(
        cls,
        name: str = "default",
        *,
        progress: Progress | None = None,
        tied: bool = False,
        application: str = "callbridge",
        music: Path | None = None,
    ) -> Instance:
        """Return the running instance, else start it; ``start`` says how and what is raised."""
        found = cls.find(name)
        if found:
            return found
        wanted = _Wanted(tied=tied, application=application, music=music)
        return cls._find_or_start(name, wanted, progress or Silent())[0]

    @classmethod
    def find(cls, name: str = "default") -> Instance | None:
        """Return the running instance of that name, None if there is none.

        One that is tied to a process that has ended is about to end, too, and counts as gone.
        """
        launch.reap()
        shelf = Shelf(name)
        record = shelf.record()
        if record is None or not record.ready or _is_orphan(record):
            return None
        asterisk = shelf.asterisk(record)
        return cls(shelf, record, asterisk.pid) if asterisk and asterisk.is_alive() else None

    @classmethod
    def all(cls) -> list[Instance]:
        """Return all running instances, by name."""
        return [found for name in names() if (found := cls.find(name))]

    @classmethod
    def crash_report(cls, name: str = "default") -> str | None:
        """Return how an instance died that nobody stopped, and the lines of the log that matter.

        None if it runs, or was stopped, or never was.
        """
        shelf = Shelf(name)
        record = shelf.record()
        if record is None or not record.ready:
            return None
        asterisk = shelf.asterisk(record)
        if asterisk and asterisk.is_alive():
            return None
        # The keeper notes the end a moment after it.
        keeper = shelf.keeper(record)
        process.wait_until(
            lambda: bool(shelf.exit() or not keeper or not keeper.is_alive()), _NOTED_TIMEOUT_S
        )
        what = f"Asterisk of instance {name} {report.describe_end(shelf.exit())}"
        return report.describe(what, shelf.log, None)

    @classmethod
    def _find_or_start(
        cls, name: str, wanted: _Wanted, progress: Progress
    ) -> tuple[Instance, bool]:
        """Return the instance of that name, and whether it was started now."""
        shelf = Shelf(name)
        installation = find_installation(progress)
        with locked():
            running = cls.find(name)
            if running:
                return running, False
            progress.step(f"Starting Asterisk {installation.version}")
            return cls._start(shelf, installation, wanted), True

    @classmethod
    def _start(cls, shelf: Shelf, installation: Installation, wanted: _Wanted) -> Instance:
        cls._clear(shelf)
        tried: list[Ports] = []
        while True:
            ports, claimed = claim_any(avoid=tried + _ports_of_others(shelf.name))
            tried.append(ports)
            with claimed:
                try:
                    record = _prepare(shelf, installation, ports, wanted)
                except BaseException:
                    shelf.remove()
                    raise
                try:
                    return cls(shelf, *_launch(shelf, record, claimed))
                except BaseException as error:
                    launch.abandon(shelf, record)
                    taken = report.port_was_taken(shelf.log)
                    kept = shelf.keep_logs()
                    shelf.remove()
                    if not isinstance(error, InstanceError):
                        raise
                    if not taken or len(tried) >= _ATTEMPTS:
                        what = report.describe(error.error_message, shelf.log, kept)
                        raise InstanceError(what) from error

    @staticmethod
    def _clear(shelf: Shelf) -> None:
        """Remove what an instance left that died, or whose owner did."""
        record = shelf.record()
        if record:
            _end(shelf, record, 0)
        else:
            shelf.remove()

    def stop(self, timeout: float = 10) -> None:
        """End it, killed if it takes longer than ``timeout`` seconds, and remove all its state.

        Of one that has died, the logs are kept. One that is gone already is left in peace.
        """
        stop(self.name, timeout)

    def kill(self) -> None:
        """Kill it as a crash would (SIGKILL). Its state stays: for ``restart`` or ``stop``."""
        launch.kill(self._shelf, self._record)

    def restart(self) -> None:
        """Start it again with the same ports and secrets, ended first if it still runs.

        Raises InstanceError if it does not come up; its state stays.
        """
        with locked():
            if not self._shelf.exists():
                raise InstanceError(f"instance {self.name} has been stopped: start a new one")
            launch.halt(self._shelf, self._record, _CLAIM_TIMEOUT_S)
            with self._claim_again() as claimed:
                try:
                    self._record, self._last_pid = _launch(self._shelf, self._record, claimed)
                except BaseException as error:
                    launch.abandon(self._shelf, self._record)
                    if not isinstance(error, InstanceError):
                        raise
                    what = report.describe(error.error_message, self._shelf.log, None)
                    raise InstanceError(what) from error

    def _claim_again(self) -> socket.socket:
        ports = self._record.ports
        claimed: list[socket.socket] = []

        def done() -> bool:
            claimed.extend(filter(None, [claim(ports)]))
            return bool(claimed)

        if not process.wait_until(done, _CLAIM_TIMEOUT_S):
            raise InstanceError(
                f"ports {ports.http} (TCP) and {ports.sip} (UDP) of instance {self.name} have been "
                "taken by somebody else"
            )
        return claimed[0]

    def is_running(self) -> bool:
        """Tell whether Asterisk's process is alive."""
        launch.reap()
        asterisk = self._shelf.asterisk(self._record)
        return bool(asterisk and asterisk.is_alive())

    @property
    def log_path(self) -> Path:
        """The log: notices, warnings and errors of this life."""
        return self._shelf.log / report.MESSAGES

    def log_tail(self, lines: int = 50) -> str:
        """Return the last lines of its log: notices, warnings and errors."""
        return report.tail(self._shelf.log, lines)

    def command(self, text: str) -> str:
        """Carry out a command of Asterisk's console, such as ``core show channels``.

        Raises InstanceError if it does not run.
        """
        return launch.command(self._shelf, self._record, text)


def stop(name: str, timeout: float = 10) -> bool:
    """End the instance of that name, whatever state it is in; False if there was none."""
    shelf = Shelf(name)
    with locked():
        record = shelf.record()
        if record is None:
            existed = shelf.exists()
            shelf.remove()
            return existed
        _end(shelf, record, timeout)
        return True


def _end(shelf: Shelf, record: Record, timeout: float) -> None:
    """End what still runs and remove all state; the logs of an Asterisk that has died are kept."""
    asterisk = shelf.asterisk(record)
    has_died = asterisk is None or not asterisk.is_alive()
    # A keeper whose owner is gone removes the state itself: first it has to have ended.
    launch.halt(shelf, record, timeout)
    if has_died:
        shelf.keep_logs()
    shelf.remove()


def _prepare(shelf: Shelf, installation: Installation, ports: Ports, wanted: _Wanted) -> Record:
    classes = {} if wanted.music is None else music.find(wanted.music)
    ari_password, accounts = config.new_secrets()
    record = Record(
        name=shelf.name,
        info=config.make_info(installation.version, ports, ari_password, accounts),
        ports=ports,
        command=installation.command,
        isolated=installation.isolated,
        owner=process.ProcessId.of(os.getpid()) if wanted.tied else None,
        boot=process.boot_id(),
    )
    shelf.save(record)
    files = config.render(
        installation=installation,
        info=record.info,
        ports=ports,
        application=wanted.application,
        state_dir=shelf.folder,
        run_dir=shelf.run,
        music=music.convert(classes, shelf.folder / "music"),
    )
    config.write(files, shelf.folder, shelf.run)
    return record


def _launch(shelf: Shelf, record: Record, claimed: socket.socket) -> tuple[Record, int]:
    """Bring Asterisk up; return what is recorded of it now, and its process."""
    pid = launch.launch(shelf, record, claimed)
    # A restart may happen after a reboot: what was recorded of the boot is renewed with it.
    ready = msgspec.structs.replace(record, ready=True, boot=process.boot_id())
    shelf.save(ready)
    return ready, pid


def _ports_of_others(name: str) -> list[Ports]:
    """Return the ports of instances that have died: they may be restarted with them.

    Nobody restarts one that was tied to a process that has ended.
    """
    records = [Shelf(other).record() for other in names() if other != name]
    return [record.ports for record in records if record and not _is_orphan(record)]


def _is_orphan(record: Record) -> bool:
    return record.owner is not None and not record.owner.is_alive()
