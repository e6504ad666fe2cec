"""Debian's Asterisk in the user's cache: fetched once, verified, shared by all later runs.

::

    CACHE/asterisk/
      lock                       held while the cache changes
      apt/                       apt's own state; partial downloads live here
      22.10.1+dfsg-1_amd64/      a finished tree, made under another name and renamed
        manifest.json            what belongs to the tree

A tree is run relocated: its own dynamic loader starts it with its own libraries.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import msgspec

from bridge.lab.asterisk import apt, process
from bridge.lab.asterisk.folders import cache_root
from bridge.lab.asterisk.requirements import missing_modules, parse_version
from bridge.model.errors import InstanceError, PackageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bridge.lab.asterisk.progress import Progress

PACKAGES = ("asterisk", "asterisk-core-sounds-en-wav", "asterisk-moh-opsound-wav")
TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
_MANIFEST = "manifest.json"
_LIBRARY_SUBFOLDERS = ("blas", "lapack", "pulseaudio")
_NEEDED_BYTES = 700_000_000
"""110 MB of packages, 30 MB of lists, 314 MB unpacked, and room."""
_RUN_TIMEOUT_S = 60.0


class FileRecord(msgspec.Struct, frozen=True, array_like=True):
    """A regular file of the tree. Where size and time agree, the digest is not computed again."""

    path: str
    size: int
    mtime_ns: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a finished tree consists of."""

    version: str
    """Asterisk's, such as ``22.10.1``."""
    package_version: str
    architecture: str
    files: tuple[FileRecord, ...]


@dataclass(frozen=True)
class Tree:
    """An unpacked Asterisk that is complete."""

    root: Path
    version: str
    architecture: str

    @property
    def libraries(self) -> Path:
        """Folder of the libraries."""
        return self.root / "usr/lib" / TRIPLETS[self.architecture]

    @property
    def modules(self) -> Path:
        """Folder of Asterisk's modules."""
        return self.libraries / "asterisk/modules"

    @property
    def data(self) -> Path:
        """Folder of sounds, music and documentation."""
        return self.root / "usr/share/asterisk"

    @property
    def sbin(self) -> Path:
        """Folder of the program."""
        return self.root / "usr/sbin"

    @property
    def command(self) -> tuple[str, ...]:
        """How the program is started with its own loader and libraries, ld.so(8)."""
        loader = next(iter(sorted(self.libraries.glob("ld-linux-*.so.*"))), None)
        if loader is None:
            raise PackageError(f"there is no dynamic loader in {self.libraries}")
        folders = [self.libraries, *(self.libraries / name for name in _LIBRARY_SUBFOLDERS)]
        path = ":".join(str(folder) for folder in folders if folder.is_dir())
        program = str(self.sbin / "asterisk")
        return (str(loader), "--library-path", path, "--argv0", "asterisk", program)


def provide(
    progress: Progress,
    *,
    passed_over: Sequence[str] = (),
    fetch: Callable[[Path, Progress], Tree] | None = None,
) -> Tree:
    """Return a complete tree: the newest of the cache, else one fetched now.

    ``fetch`` puts a new tree into a folder; from Debian unless told otherwise. ``passed_over``, why
    no other Asterisk is used, becomes part of the message of the PackageError that is raised when
    none can be had.
    """
    folder = cache_root() / "asterisk"
    fetch = fetch or fetch_from_debian
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "lock"):
            return _cached(folder, progress) or fetch(folder, progress)
    except OSError as error:
        raise PackageError(_with(passed_over, _storage_failure(folder, error))) from error
    except PackageError as error:
        raise PackageError(_with(passed_over, error.error_message)) from error
    except InstanceError as error:  # a program that hangs
        message = f"{error.error_message}. {apt.WAYS_OUT}"
        raise PackageError(_with(passed_over, message)) from error


def _with(passed_over: Sequence[str], message: str) -> str:
    return "; ".join([*passed_over, message])


def _storage_failure(folder: Path, error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"the disk is full: Asterisk needs {_NEEDED_BYTES // 1_000_000} MB below {folder}; "
            "make room, or point CALLBRIDGE_CACHE_DIR to another disk"
        )
    return f"the cache {folder} cannot be used: {error}. {apt.WAYS_OUT}"


def _cached(folder: Path, progress: Progress) -> Tree | None:
    """Return the newest complete tree, and remove damaged ones and leavings of dead fetches."""
    for leaving in folder.glob(".unpack-*"):
        shutil.rmtree(leaving)
    roots = [path for path in folder.iterdir() if path.is_dir() and path.name != "apt"]
    for root in sorted(roots, key=lambda path: path.stat().st_mtime, reverse=True):
        manifest = read_manifest(root)
        damage = f"{_MANIFEST} is missing" if manifest is None else find_damage(root, manifest)
        if manifest and not damage:
            return Tree(root, manifest.version, manifest.architecture)
        progress.step(f"Cached Asterisk {root.name} is damaged ({damage}): fetching it again")
        shutil.rmtree(root)
    return None


def fetch_from_debian(folder: Path, progress: Progress) -> Tree:
    """Download, verify and unpack Debian's package into a new tree in ``folder``.

    Raises PackageError if it cannot be had, OSError if the disk is full.
    """
    where = apt.host()
    if where.architecture not in TRIPLETS:
        raise PackageError(
            f"architecture {where.architecture} is not known here "
            f"(known: {', '.join(TRIPLETS)}). {apt.WAYS_OUT}"
        )
    if shutil.disk_usage(folder).free < _NEEDED_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    private = apt.PrivateApt(folder / "apt", where)
    private.prepare()
    progress.step("Reading Debian's package lists")
    private.update(progress)
    progress.step("Downloading Asterisk (about 110 MB, once)")
    archives = private.download(PACKAGES, progress)
    progress.step("Unpacking Asterisk")
    try:
        tree = unpack(archives, folder, where.architecture, progress)
    except PackageError:
        # Whole by apt's account but not to be unpacked: the next try has to fetch them again.
        shutil.rmtree(private.folder)
        raise
    shutil.rmtree(private.folder)
    return tree


def unpack(archives: Sequence[Path], folder: Path, architecture: str, progress: Progress) -> Tree:
    """Unpack packages into a finished tree in ``folder``; all or nothing.

    Raises PackageError if one is damaged or the whole does not run.
    """
    draft = Path(tempfile.mkdtemp(prefix=".unpack-", dir=folder))
    try:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for done, _ in enumerate(pool.map(lambda one: _unpack_one(one, draft), archives), 1):
                progress.update(done / len(archives))
        _finish(draft)
        package_version = _package_version(archives)
        manifest = Manifest(
            version=_try_out(Tree(draft, "", architecture)),
            package_version=package_version,
            architecture=architecture,
            files=tuple(_describe(draft)),
        )
        (draft / _MANIFEST).write_bytes(msgspec.json.encode(manifest))
        draft.chmod(0o755)
        root = folder / f"{package_version}_{architecture}"
        draft.rename(root)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return Tree(root, manifest.version, architecture)


def _unpack_one(archive: Path, draft: Path) -> None:
    answer = process.run(["dpkg-deb", "-x", archive, draft], timeout=_RUN_TIMEOUT_S)
    if answer.returncode:
        if "No space left" in answer.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise PackageError(f"{archive.name} is damaged: {answer.stderr.strip()}; try again")


def _package_version(archives: Sequence[Path]) -> str:
    archive = next((one for one in archives if one.name.startswith("asterisk_")), None)
    if archive is None:
        raise PackageError(f"apt fetched no package asterisk. {apt.WAYS_OUT}")
    answer = process.run(["dpkg-deb", "-f", archive, "Version"], timeout=_RUN_TIMEOUT_S)
    if answer.returncode:
        raise PackageError(f"{archive.name} is damaged: {answer.stderr.strip()}; try again")
    # The epoch is Debian's own affair, and its colon would split the loader's library path.
    return answer.stdout.strip().rpartition(":")[2]


def _finish(draft: Path) -> None:
    """Do what the packages' own scripts would: they name the English sounds ``en``."""
    sounds = draft / "usr/share/asterisk/sounds"
    voices = sorted(sounds.glob("en_US*"))
    if voices and not (sounds / "en").exists():
        (sounds / "en").symlink_to(voices[0].name)


def _try_out(tree: Tree) -> str:
    """Run the tree's Asterisk and return its version."""
    missing = missing_modules(tree.modules)
    if missing:
        raise PackageError(f"Debian's Asterisk lacks {', '.join(missing)}. {apt.WAYS_OUT}")
    environment = process.plain_environment()
    answer = process.run([*tree.command, "-V"], timeout=_RUN_TIMEOUT_S, env=environment)
    version = parse_version(answer.stdout)
    if answer.returncode or version is None:
        said = (answer.stderr or answer.stdout).strip()
        raise PackageError(f"Debian's Asterisk does not run here: {said}. {apt.WAYS_OUT}")
    return ".".join(map(str, version))


def _describe(root: Path) -> Iterator[FileRecord]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found = path.stat()
            name = str(path.relative_to(root))
            yield FileRecord(name, found.st_size, found.st_mtime_ns, _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(root: Path) -> Manifest | None:
    """Return the tree's manifest, None if it is missing or makes no sense."""
    try:
        return msgspec.json.decode((root / _MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def find_damage(root: Path, manifest: Manifest) -> str | None:
    """Return the first thing wrong with a tree, None if it is complete.

    Sizes and times are compared; a file's digest only when its time has changed (a copied cache).
    """
    for record in manifest.files:
        path = root / record.path
        try:
            found = path.lstat()
        except OSError:
            return f"{record.path} is missing"
        if found.st_size != record.size:
            return f"{record.path} has {found.st_size} bytes instead of {record.size}"
        if found.st_mtime_ns != record.mtime_ns and _sha256(path) != record.sha256:
            return f"{record.path} has changed"
    return None
