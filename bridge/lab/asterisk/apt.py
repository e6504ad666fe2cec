"""Debian's package manager, used as an ordinary user: a state of its own, the host's mirror.

Nothing of the host is changed. Signatures are checked by apt with the host's Debian keyring; apt
keeps partial downloads in its cache, which is what makes a broken fetch resume.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.lab.asterisk import process
from bridge.model.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bridge.lab.asterisk.progress import Progress

SUITE = "sid"
"""Stable Debian ships no Asterisk."""
WAYS_OUT = (
    "Ways out: set CALLBRIDGE_ARI_URL (with CALLBRIDGE_ARI_USERNAME and CALLBRIDGE_ARI_PASSWORD) "
    "to an Asterisk that runs already; put an asterisk 22.6 or later on the PATH; "
    "or use the containers in docker/"
)
_KEYRINGS = tuple(
    Path("/usr/share/keyrings") / f"debian-archive-keyring.{suffix}" for suffix in ("gpg", "pgp")
)
_TOOLS = ("apt-get", "apt-config", "dpkg", "dpkg-deb")
_QUICK_S = 30.0
_PERCENT = 100.0


@dataclass(frozen=True)
class Host:
    """What the host knows of Debian."""

    mirror: str
    keyring: Path
    architecture: str
    """As dpkg names it, such as ``amd64``."""


def host() -> Host:
    """Look at the host.

    Raises PackageError if it has no apt, or knows of no Debian mirror or keyring.
    """
    missing = [tool for tool in _TOOLS if not shutil.which(tool)]
    if missing:
        raise PackageError(
            f"Debian's Asterisk cannot be fetched: this system has no {', '.join(missing)}. "
            + WAYS_OUT
        )
    keyring = next((path for path in _KEYRINGS if path.is_file()), None)
    if keyring is None:
        raise PackageError(
            "Debian's Asterisk cannot be verified: this system has no Debian keyring "
            f"({_KEYRINGS[0]}); install the package debian-archive-keyring. " + WAYS_OUT
        )
    architecture = _output(["dpkg", "--print-architecture"]).strip()
    return Host(_mirror(), keyring, architecture)


def choose_mirror(targets: Iterable[str]) -> str | None:
    """Pick the Debian archive from lines of ``$(SITE)<tab>$(ORIGIN)``; None if there is none.

    The origin is empty on a host that has never run ``apt-get update``; then the address counts.
    """
    named = []
    for line in targets:
        site, _, origin = line.strip().partition("\t")
        if site.startswith("cdrom:") or "security" in site:
            continue
        if origin == "Debian":
            return site
        if not origin and "debian" in site:
            named.append(site)
    return named[0] if named else None


def _mirror() -> str:
    override = os.environ.get("CALLBRIDGE_DEBIAN_MIRROR")
    if override:
        return override
    listing = _output(["apt-get", "indextargets", "--format", "$(SITE)\t$(ORIGIN)"])
    mirror = choose_mirror(listing.splitlines())
    if mirror is None:
        raise PackageError(
            "apt's sources on this system name no Debian archive: set CALLBRIDGE_DEBIAN_MIRROR "
            "to the address of one. " + WAYS_OUT
        )
    return mirror


def _output(command: Sequence[str]) -> str:
    try:
        answer = process.run(command, timeout=_QUICK_S, env=_environment())
    except OSError as error:
        raise PackageError(f"{command[0]} does not run: {error}. {WAYS_OUT}") from error
    if answer.returncode:
        raise PackageError(f"{' '.join(command)} failed: {answer.stderr.strip()}. {WAYS_OUT}")
    return answer.stdout


def _environment() -> dict[str, str]:
    return process.plain_environment() | {"DEBIAN_FRONTEND": "noninteractive"}


class PrivateApt:
    """An apt whose lists, cache and knowledge of installed packages (none) lie in one folder."""

    def __init__(self, folder: Path, where: Host) -> None:
        self.folder = folder
        self._host = where

    @property
    def archives(self) -> Path:
        """Where downloaded packages lie."""
        return self.folder / "cache/archives"

    def prepare(self) -> None:
        """Write the configuration; of the host's, only how the network is reached is taken."""
        for name in ("lists/partial", "cache/archives/partial", "etc/parts"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        # Flat spellings such as "Acquire::http::Proxy": hooks of the host stay outside.
        acquire = [
            line
            for line in _output(["apt-config", "dump", "Acquire"]).splitlines()
            if not line.startswith(("Acquire::IndexTargets", "Acquire::Allow"))
        ]
        own = {
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": f"{self.folder}/etc/parts",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": f"{self.folder}/etc/parts",
            "Dir::Etc::sourcelist": f"{self.folder}/etc/sources.list",
            "Dir::Etc::sourceparts": f"{self.folder}/etc/parts",
            "Dir::State": str(self.folder),
            "Dir::State::lists": f"{self.folder}/lists",
            "Dir::State::status": f"{self.folder}/status",
            "Dir::Cache": f"{self.folder}/cache",
            "Dir::Log": str(self.folder),
            "APT::Architecture": self._host.architecture,
            "APT::Get::List-Cleanup": "0",
            # As root, apt would download as user _apt, who cannot write here.
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        lines = [*acquire, *(f'{key} "{value}";' for key, value in own.items())]
        (self.folder / "etc/apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.folder / "etc/sources.list").write_text(
            f"deb [arch={self._host.architecture} signed-by={self._host.keyring}] "
            f"{self._host.mirror} {SUITE} main\n",
            encoding="utf-8",
        )

    def update(self, progress: Progress) -> None:
        """Fetch and verify the lists of packages."""
        self._apt(["update", "--error-on=any"], progress)

    def download(self, packages: Sequence[str], progress: Progress) -> list[Path]:
        """Fetch packages with all they depend on; return the files."""
        # An earlier fetch that was broken off may have left what is out of date by now.
        self._apt(["autoclean"], progress)
        self._apt(
            ["install", "-y", "--download-only", "--no-install-recommends", *packages], progress
        )
        files = sorted(self.archives.glob("*.deb"))
        if not files:
            raise PackageError(f"apt fetched nothing into {self.archives}. {WAYS_OUT}")
        return files

    def _apt(self, arguments: Sequence[str], progress: Progress) -> None:
        """Run apt-get and report its progress, apt's README.progress-reporting."""
        read_end, write_end = os.pipe()
        log = self.folder / "apt.log"
        environment = _environment() | {"APT_CONFIG": f"{self.folder}/etc/apt.conf"}
        command = ["apt-get", "-q", "-o", f"APT::Status-Fd={write_end}", *arguments]
        with os.fdopen(read_end, encoding="utf-8", errors="replace") as status:
            try:
                with log.open("w", encoding="utf-8") as output:
                    child = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        env=environment,
                        pass_fds=(write_end,),
                    )
            finally:
                os.close(write_end)
            with _ended(child):
                for line in status:
                    fields = line.split(":")
                    if fields[0] == "dlstatus":
                        with contextlib.suppress(IndexError, ValueError):
                            progress.update(float(fields[2]) / _PERCENT)
                code = child.wait()
        if code:
            raise PackageError(f"{failure(log.read_text(encoding='utf-8'))}. {WAYS_OUT}")


@contextlib.contextmanager
def _ended(child: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def failure(log: str) -> str:
    """Return what apt says went wrong: the lines with ``E:``, the last few of them."""
    errors = [line[2:].strip() for line in log.splitlines() if line.startswith(("E:", "Err:"))]
    return "apt could not fetch Asterisk: " + ("; ".join(errors[-4:]) or log.strip()[-400:])
