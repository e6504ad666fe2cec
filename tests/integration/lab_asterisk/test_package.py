"""given packages and a cache, when they are whole, damaged or untrusted, then ..."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from bridge.lab.asterisk import requirements
from bridge.lab.asterisk.package import (
    TRIPLETS,
    Tree,
    find_damage,
    provide,
    read_manifest,
    unpack,
)
from bridge.lab.asterisk.process import run
from bridge.lab.asterisk.progress import Progress, Silent
from bridge.model.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ARCHITECTURE = "amd64"
LIBRARIES = f"usr/lib/{TRIPLETS[ARCHITECTURE]}"
MODULES = requirements.REQUIRED_MODULES


def build(folder: Path, name: str, content: dict[str, str]) -> Path:
    tree = folder / name
    for path, text in content.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
        (tree / path).chmod(0o755)
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1:22.7.0-1\nArchitecture: all\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: a test\n"
    )
    archive = folder / f"{name}_1%3a22.7.0-1_all.deb"
    built = run(["dpkg-deb", "--build", "--root-owner-group", "-Znone", tree, archive], timeout=10)
    assert built.returncode == 0, built.stderr
    shutil.rmtree(tree)
    return archive


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    """Packages with a loader that says a version, whatever program it is given."""
    folder = tmp_path / "archives"
    modules = {f"{LIBRARIES}/asterisk/modules/{name}.so": "module" for name in MODULES}
    return [
        build(
            folder,
            "asterisk",
            {"usr/sbin/asterisk": "", **modules},
        ),
        build(
            folder,
            "libc6",
            {f"{LIBRARIES}/ld-linux-x86-64.so.2": "#!/bin/sh\necho Asterisk 22.7.0"},
        ),
        build(folder, "sounds", {"usr/share/asterisk/sounds/en_US_f_Allison/hello.wav": "RIFF"}),
    ]


@pytest.fixture
def fetch(archives: list[Path]) -> Callable[[Path, Progress], Tree]:
    def from_archives(folder: Path, progress: Progress) -> Tree:
        return unpack(archives, folder, ARCHITECTURE, progress)

    return from_archives


def never(folder: Path, _: Progress) -> Tree:
    pytest.fail(f"fetched into {folder}, though the cache is whole")


class Told(Silent):
    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)


def test_a_fetched_tree_is_whole_and_used_again(
    cache: Path, fetch: Callable[[Path, Progress], Tree]
) -> None:
    tree = provide(Silent(), fetch=fetch)
    assert tree.root == cache / "22.7.0-1_amd64"
    assert tree.version == "22.7.0"
    assert (tree.data / "sounds/en/hello.wav").read_text() == "RIFF"
    assert provide(Silent(), fetch=never) == tree
    assert sorted(path.name for path in cache.iterdir()) == ["22.7.0-1_amd64", "lock"]


def lose(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    path.write_text("")


def change(path: Path) -> None:
    path.write_text("MODULE")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lose, "chan_pjsip.so is missing"),
        (shorten, "chan_pjsip.so has 0 bytes instead of 6"),
        (change, "chan_pjsip.so has changed"),
    ],
)
def test_a_damaged_cache_is_found_and_repaired(
    cache: Path,
    fetch: Callable[[Path, Progress], Tree],
    damage: Callable[[Path], None],
    said: str,
) -> None:
    tree = provide(Silent(), fetch=fetch)
    victim = tree.modules / "chan_pjsip.so"
    damage(victim)
    told = Told()
    assert provide(told, fetch=fetch) == tree
    assert victim.read_text() == "module"
    assert len(told.steps) == 1
    assert said in told.steps[0]
    assert sorted(path.name for path in cache.iterdir()) == ["22.7.0-1_amd64", "lock"]


def test_a_copied_cache_with_other_times_is_still_whole(
    cache: Path, fetch: Callable[[Path, Progress], Tree]
) -> None:
    tree = provide(Silent(), fetch=fetch)
    for path in tree.root.rglob("*.so"):
        path.touch()
    manifest = read_manifest(tree.root)
    assert manifest
    assert find_damage(tree.root, manifest) is None
    assert provide(Silent(), fetch=never).root == cache / "22.7.0-1_amd64"


def test_a_manifest_that_makes_no_sense_is_damage(
    cache: Path, fetch: Callable[[Path, Progress], Tree]
) -> None:
    tree = provide(Silent(), fetch=fetch)
    (tree.root / "manifest.json").write_bytes(msgspec.json.encode({"version": 1}))
    told = Told()
    assert provide(told, fetch=fetch) == tree
    assert "manifest.json is missing" in told.steps[0]
    assert cache.is_dir()


def test_the_leavings_of_a_fetch_that_died_are_removed(
    cache: Path, fetch: Callable[[Path, Progress], Tree]
) -> None:
    (cache / ".unpack-dead").mkdir(parents=True)
    (cache / ".unpack-dead/half").touch()
    provide(Silent(), fetch=fetch)
    assert sorted(path.name for path in cache.iterdir()) == ["22.7.0-1_amd64", "lock"]


def test_a_damaged_package_leaves_nothing_half_done(
    cache: Path, archives: list[Path], fetch: Callable[[Path, Progress], Tree]
) -> None:
    archives[2].write_bytes(archives[2].read_bytes()[:200])
    with pytest.raises(PackageError, match=r"sounds_.* is damaged"):
        provide(Silent(), fetch=fetch)
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_an_asterisk_that_cannot_do_what_we_need_leaves_nothing(
    cache: Path, archives: list[Path], fetch: Callable[[Path, Progress], Tree]
) -> None:
    archives[0] = build(archives[0].parent, "asterisk", {"usr/sbin/asterisk": ""})
    with pytest.raises(PackageError, match="lacks chan_websocket"):
        provide(Silent(), fetch=fetch)
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_a_full_disk_is_told_with_what_to_do(cache: Path) -> None:
    def full(folder: Path, _: Progress) -> Tree:
        raise OSError(28, "No space left on device", str(folder))

    with pytest.raises(PackageError, match=r"disk is full: .* CALLBRIDGE_CACHE_DIR"):
        provide(Silent(), fetch=full)
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_a_program_that_hangs_is_told_with_the_ways_out(cache: Path) -> None:
    def hanging(folder: Path, _: Progress) -> Tree:
        run(["sleep", "60"], timeout=0.05)
        pytest.fail(f"{folder}: it did not hang")

    with pytest.raises(PackageError, match=r"sleep did not end .* Ways out: "):
        provide(Silent(), fetch=hanging)
    assert [path.name for path in cache.iterdir()] == ["lock"]


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt, the thing it tests")
def test_a_mirror_without_a_signature_is_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = tmp_path / "mirror/dists/sid/Release"
    release.parent.mkdir(parents=True)
    release.write_text("Origin: Debian\nSuite: unstable\nCodename: sid\nArchitectures: amd64\n")
    monkeypatch.setenv("CALLBRIDGE_DEBIAN_MIRROR", f"file:{tmp_path}/mirror")
    with pytest.raises(PackageError, match="not signed"):
        provide(Silent())
    assert sorted(path.name for path in cache.iterdir()) == ["apt", "lock"]


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt, the thing it tests")
def test_a_mirror_that_is_not_there_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBRIDGE_DEBIAN_MIRROR", "file:/nowhere/debian")
    with pytest.raises(PackageError, match="/nowhere/debian"):
        provide(Silent())
    assert not list(cache.glob("*_*"))
