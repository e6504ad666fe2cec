"""Which Asterisk is run: one on the PATH that can do what we need, else Debian's package."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from bridge.lab.asterisk import package, process
from bridge.lab.asterisk.progress import Progress, Silent
from bridge.lab.asterisk.requirements import (
    NEEDED,
    is_recent_enough,
    missing_modules,
    parse_version,
)
from bridge.model.errors import InstanceError

_RUN_TIMEOUT_S = 10.0
_ETC_FILES = (Path("/etc/asterisk/asterisk.conf"), Path("/usr/local/etc/asterisk/asterisk.conf"))


@dataclass(frozen=True)
class Installation:
    """An Asterisk that can be started.

    ``command`` is the program with what has to stand before its arguments.
    """

    version: str
    command: tuple[str, ...]
    modules: Path
    data: Path
    sbin: Path
    isolated: bool = False
    """The program brings its own libraries: other paths to libraries must not reach it."""
    passed_over: tuple[str, ...] = field(default=())
    """Why others, looked at before, were not taken."""

    @property
    def music(self) -> Path | None:
        """Folder of music on hold, None if this installation brings none that may be read."""
        folder = self.data / "moh"
        try:
            return folder if folder.is_dir() and any(folder.iterdir()) else None
        except OSError:
            return None


def find(progress: Progress | None = None) -> Installation:
    """Return the Asterisk to run; fetches Debian's package if no other can be used.

    Raises PackageError if there is none to be had.
    """
    progress = progress or Silent()
    passed_over: tuple[str, ...] = ()
    program = shutil.which("asterisk", path=_search_path())
    if program:
        found = inspect(Path(program))
        if isinstance(found, Installation):
            return found
        passed_over = (found,)
        progress.step(f"Passed over: {found}")
    tree = package.provide(progress, passed_over=passed_over)
    return Installation(
        version=tree.version,
        command=tree.command,
        modules=tree.modules,
        data=tree.data,
        sbin=tree.sbin,
        isolated=True,
        passed_over=passed_over,
    )


def inspect(program: Path) -> Installation | str:
    """Judge an ``asterisk`` on the PATH: an Installation, or the reason why it cannot be used."""
    try:
        answer = process.run([program, "-V"], timeout=_RUN_TIMEOUT_S)
    except (OSError, InstanceError) as error:
        return f"{program} does not run: {error}"
    if answer.returncode:
        return f"{program} does not run: {(answer.stderr or answer.stdout).strip()}"
    version = parse_version(answer.stdout)
    if version is None:
        return f"{program} names no version: {answer.stdout.strip()!r}"
    text = ".".join(map(str, version))
    if not is_recent_enough(version):
        return f"{program} is {text}; needed is {NEEDED}"
    try:
        return _look_into(program, text)
    except OSError as error:
        return f"{program} ({text}) cannot be looked into: {error}"


def _look_into(program: Path, text: str) -> Installation | str:
    """Judge a program by its folders; text: its version."""
    folders = _folders(program)
    modules = next((folder for folder in folders["modules"] if _is_folder(folder)), None)
    if modules is None:
        looked = ", ".join(map(str, folders["modules"]))
        return f"{program} ({text}): its modules are in none of {looked}"
    missing = missing_modules(modules)
    if missing:
        return f"{program} ({text}) lacks the modules {', '.join(missing)} in {modules}"
    data = next(
        (folder for folder in folders["data"] if _is_folder(folder / "documentation")), None
    )
    if data is None:
        looked = ", ".join(map(str, folders["data"]))
        return f"{program} ({text}): its data (folder documentation) is in none of {looked}"
    return Installation(text, (str(program),), modules, data, program.parent)


def _is_folder(path: Path) -> bool:
    """Tell whether there is a folder, as far as this user may see."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _search_path() -> str:
    # An ordinary user's PATH leaves out sbin, where asterisk lives.
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def _folders(program: Path) -> dict[str, list[Path]]:
    """Return where the program's modules and data may be, likeliest first."""
    named = _directories(program)
    prefix = program.resolve().parent.parent
    modules = [prefix / "lib/asterisk/modules", prefix / "lib64/asterisk/modules"]
    modules += sorted(prefix.glob("lib/*-linux-gnu*/asterisk/modules"))
    data = [prefix / "share/asterisk", prefix / "var/lib/asterisk", Path("/var/lib/asterisk")]
    if "astmoddir" in named:
        modules.insert(0, Path(named["astmoddir"]))
    if "astdatadir" in named:
        data.insert(0, Path(named["astdatadir"]))
    return {"modules": modules, "data": data}


def _directories(program: Path) -> dict[str, str]:
    """Read ``[directories]`` of the system's asterisk.conf, if it may be read."""
    prefix = program.resolve().parent.parent
    for path in (prefix / "etc/asterisk/asterisk.conf", *_ETC_FILES):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        return dict(re.findall(r"^\s*(ast\w+dir)\s*=>?\s*([^\s;]+)", text, re.MULTILINE))
    return {}
