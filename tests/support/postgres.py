"""A real PostgreSQL for tests: the system's, else Debian's package, unpacked into the cache.

Each server lies in a temporary folder of its own, listens on loopback alone, runs as an ordinary
user (PostgreSQL refuses root), and ends with the process that started it, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import asyncpg
import filelock

from bridge.lab.asterisk import apt, keeper, process
from bridge.lab.asterisk.folders import cache_root
from bridge.lab.asterisk.package import TRIPLETS
from bridge.lab.asterisk.progress import Lines, Progress
from bridge.model.errors import CallbridgeError, PackageError
from tests.support.ports import hold_port

FETCH = "CALLBRIDGE_TEST_POSTGRES"
"""``fetch``: use Debian's package even if the system has a PostgreSQL."""
_INSTALLED = Path("/usr/lib/postgresql")
_USERS = ("postgres", "nobody")
_READY_S = 20.0
_COMMAND_S = 60.0
_HOST = "127.0.0.1"
_OWNER = "callbridge"
_SETTINGS = {
    "listen_addresses": _HOST,
    "max_connections": "60",
    "shared_buffers": "16MB",
    # The machine's power is not what is tested.
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "log_min_messages": "warning",
}


class PostgresError(CallbridgeError):
    """The PostgreSQL of the tests could not be had or started."""

    default_code = PackageError.default_code


def programs() -> Path:
    """Return the folder of ``initdb`` and ``postgres``; fetches them if there are none.

    Raises PostgresError.
    """
    if os.environ.get(FETCH) != "fetch":
        versions = [path for path in _INSTALLED.glob("*/bin") if (path / "initdb").is_file()]
        if versions:
            return max(versions, key=lambda path: float(path.parent.name))
        on_path = shutil.which("initdb")
        if on_path:
            return Path(on_path).resolve().parent
    folder = cache_root() / "postgresql"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / "lock"):
            found = sorted(folder.glob("tree-*/usr/lib/postgresql/*/bin"))
            return found[-1] if found else _fetch(folder, Lines(sys.stderr))
    except (OSError, CallbridgeError) as error:
        raise PostgresError(
            f"there is no PostgreSQL on this system, and none can be fetched: {error}; "
            "install the package postgresql"
        ) from error


def _fetch(folder: Path, progress: Progress) -> Path:
    """Unpack Debian's package with all that it needs; all or nothing."""
    where = apt.host()
    private = apt.PrivateApt(folder / "apt", where)
    private.prepare()
    progress.step("Reading Debian's package lists")
    private.update(progress)
    progress.step("Downloading PostgreSQL (once)")
    archives = private.download(["postgresql"], progress)
    progress.step("Unpacking PostgreSQL")
    draft = Path(tempfile.mkdtemp(prefix=".unpack-", dir=folder))
    try:
        for archive in archives:
            _run(["dpkg-deb", "-x", str(archive), str(draft)])
        (found,) = draft.glob("usr/lib/postgresql/*/bin")
        draft.chmod(0o755)
        tree = folder / f"tree-{found.parent.name}_{where.architecture}"
        draft.rename(tree)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(private.folder)
    return tree / found.relative_to(draft)


def _relocate(programs_: Path, folder: Path) -> Path:
    """Copy a fetched tree to where an ordinary user may read it, run by its own loader.

    Returns the folder of programs, which find all else by where they lie.
    """
    tree = programs_.parents[4]
    copy = folder / "tree"
    shutil.copytree(tree, copy, symlinks=True)
    libraries = copy / "usr/lib" / TRIPLETS[apt.host().architecture]
    loader = next(iter(sorted(libraries.glob("ld-linux-*.so.*"))))
    path = ":".join(map(str, (libraries, libraries / "blas", libraries / "lapack")))
    bin_ = copy / programs_.relative_to(tree)
    for name in ("initdb", "postgres"):
        real = (bin_ / name).rename(bin_ / f"{name}.real")
        # One calls the other by its name: it has to be something that the kernel can start.
        (bin_ / name).write_text(
            f'#!/bin/sh\nexec "{loader}" --library-path "{path}" --argv0 "$0" "{real}" "$@"\n',
            encoding="utf-8",
        )
        (bin_ / name).chmod(0o755)
    return bin_


def _run(command: list[str], *, env: dict[str, str] | None = None) -> None:
    answer = process.run(command, timeout=_COMMAND_S, env=env)
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip()
        raise PostgresError(f"{command[0]} failed: {said}")


def _as_ordinary_user() -> tuple[list[str], tuple[int, int] | None]:
    """Return what stands before a command, and whose files it needs; nothing if we are ordinary."""
    if os.geteuid() != 0:
        return [], None
    for name in _USERS:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            ids = (user.pw_uid, user.pw_gid)
            command = ["setpriv", f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups"]
            return [*command, "--pdeathsig", "QUIT"], ids
    raise PostgresError(f"PostgreSQL refuses to run as root, and there is none of {_USERS}")


@dataclass
class PostgresServer:
    """One server. All but ``create`` and ``drop`` block."""

    folder: Path
    programs: Path
    user: list[str]
    password: str
    _held: socket.socket
    _keeper: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls) -> Self:
        """Make a server and start it. Raises PostgresError."""
        found = programs()
        folder = Path(tempfile.mkdtemp(prefix="callbridge-postgres-"))
        held = hold_port(_HOST)
        try:
            user, ids = _as_ordinary_user()
            folder.chmod(0o755)
            if not found.is_relative_to(_INSTALLED):
                found = _relocate(found, folder)
            server = cls(folder, found, user, secrets.token_hex(16), held)
            server._initialise(ids)
            server.resume_service()
        except BaseException:
            held.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return server

    @property
    def port(self) -> int:
        """Where it listens, each time that it is started."""
        port: int = self._held.getsockname()[1]
        return port

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, as the store takes it."""
        return f"postgresql://{_OWNER}:{self.password}@{_HOST}:{self.port}/{database}"

    async def create(self) -> str:
        """Make an empty database; return its URL."""
        name = f"t{secrets.token_hex(6)}"
        await self._execute(f"CREATE DATABASE {name}")
        return self.url(name)

    async def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        await self._execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def resume_service(self) -> None:
        """Start it, or start it again. Raises PostgresError with its log."""
        (self.folder / "process.json").unlink(missing_ok=True)
        me = process.ProcessId.of(os.getpid())
        assert me is not None
        program = [str(self.programs / "postgres"), "-D", str(self.folder / "data")]
        settings = _SETTINGS | {
            "port": str(self.port),
            "unix_socket_directories": str(self.folder / "data"),
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        order = {
            "state_dir": str(self.folder),
            "folders": [str(self.folder)],
            "command": [*self.user, *program, *options],
            "inherited": [],
            "owner": [me.pid, me.started],
        }
        (self.folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        with (self.folder / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, str(self.folder / "order.json")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=process.plain_environment(),
                start_new_session=True,
            )
        if not process.wait_until(self._accepts, _READY_S):
            log_text = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
            self.crash()
            raise PostgresError(f"PostgreSQL did not start: {log_text[-1000:]}")

    def crash(self) -> None:
        """End it at once, as ``pg_ctl stop -m immediate`` does: it recovers at the next start."""
        self.thaw()
        for pid in self._processes()[:1]:
            os.kill(pid, signal.SIGQUIT)
        self._wait()

    def freeze(self) -> None:
        """Let all of its processes stand still: connections stay, nothing answers."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its processes go on."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def mend(self) -> None:
        """Let it work again, whatever was done to it. Raises PostgresError."""
        self.thaw()
        if self._keeper is None or not self._processes():
            self._wait()
            self.resume_service()

    def discard(self) -> None:
        """End it, and leave nothing of it."""
        if self._keeper is not None:
            self.crash()
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url(), timeout=_READY_S)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _initialise(self, ids: tuple[int, int] | None) -> None:
        data, secret = self.folder / "data", self.folder / "secret"
        data.mkdir(mode=0o700)
        secret.touch(mode=0o600)
        secret.write_text(self.password, encoding="utf-8")
        if ids is not None:
            os.chown(data, *ids)
            os.chown(secret, *ids)
        settings = ["--auth=scram-sha-256", f"--pwfile={secret}", f"--username={_OWNER}"]
        plain = ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        program = [str(self.programs / "initdb"), "-D", str(data), *settings, *plain]
        _run([*self.user, *program], env=process.plain_environment())

    def _accepts(self) -> bool:
        if self._keeper is not None and self._keeper.poll() is not None:
            return False
        with contextlib.suppress(OSError):
            status = (self.folder / "data/postmaster.pid").read_text(encoding="utf-8")
            return status.strip().endswith("ready")
        return False

    def _processes(self) -> list[int]:
        """Return the server's process, and those of its connections."""
        try:
            told = json.loads((self.folder / "process.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        pid, started = told["asterisk"]
        found = process.ProcessId.of(pid)
        if found is None or found.started != started:
            return []
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [pid, *map(int, children.split())]

    def _wait(self) -> None:
        if self._keeper is not None:
            try:
                self._keeper.wait(_READY_S)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()
            self._keeper = None


@contextlib.contextmanager
def running() -> Iterator[PostgresServer]:
    """Give a server, which ends with the block."""
    server = PostgresServer.start()
    try:
        yield server
    finally:
        server.discard()
