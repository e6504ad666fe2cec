"""given an asterisk on the PATH, when one is looked for, then it is used or passed over, why."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from bridge.lab.asterisk import Instance, requirements
from bridge.lab.asterisk.installation import Installation, _search_path, find, inspect
from bridge.lab.asterisk.progress import Silent
from bridge.model.errors import InstanceError, PackageError

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.asterisk


def test_one_that_is_too_old_is_passed_over(
    bin_dir: Path, script: Callable[[Path, str], Path]
) -> None:
    program = script(bin_dir / "asterisk", "echo Asterisk 20.15.2")
    assert inspect(program) == (
        f"{program} is 20.15.2; needed is 20.16 or later of 20, or 22.6 or later "
        "(media over WebSocket)"
    )


def test_one_that_does_not_run_is_passed_over(
    bin_dir: Path, script: Callable[[Path, str], Path]
) -> None:
    program = script(bin_dir / "asterisk", "echo no such library >&2; exit 127")
    assert inspect(program) == f"{program} does not run: no such library"


def test_one_that_is_no_asterisk_is_passed_over(
    bin_dir: Path, script: Callable[[Path, str], Path]
) -> None:
    program = script(bin_dir / "asterisk", "echo hello")
    assert inspect(program) == f"{program} names no version: 'hello'"


def test_one_that_lacks_modules_is_passed_over(
    bin_dir: Path, script: Callable[[Path, str], Path]
) -> None:
    program = script(bin_dir / "asterisk", "echo Asterisk 22.9.0")
    modules = bin_dir.parent / "lib/asterisk/modules"
    modules.mkdir(parents=True)
    lacking = ("chan_websocket", "res_stasis_snoop")
    for name in set(requirements.REQUIRED_MODULES) - set(lacking):
        (modules / f"{name}.so").touch()
    said = inspect(program)
    assert said == (
        f"{program} (22.9.0) lacks the modules chan_websocket, res_stasis_snoop in {modules}"
    )


def complete(prefix: Path) -> Path:
    """Make all that is looked for below a prefix; return the folder of modules."""
    modules = prefix / "lib/asterisk/modules"
    modules.mkdir(parents=True)
    for name in requirements.REQUIRED_MODULES:
        (modules / f"{name}.so").touch()
    (prefix / "share/asterisk/documentation").mkdir(parents=True)
    return modules


def test_folders_that_may_not_be_looked_into_are_left_aside(
    bin_dir: Path, script: Callable[[Path, str], Path]
) -> None:
    program = script(bin_dir / "asterisk", "echo Asterisk 22.9.0")
    modules = complete(bin_dir.parent)
    # The kernel refuses to look, root or not.
    beyond = "/" + "x" * 300
    (bin_dir.parent / "etc/asterisk").mkdir(parents=True)
    (bin_dir.parent / "etc/asterisk/asterisk.conf").write_text(
        f"[directories]\nastmoddir => {beyond}\nastdatadir => {beyond}\n"
    )
    found = inspect(program)
    assert isinstance(found, Installation)
    assert (found.modules, found.data) == (modules, bin_dir.parent / "share/asterisk")


def test_modules_that_may_not_be_looked_at_are_passed_over(
    bin_dir: Path, script: Callable[[Path, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = script(bin_dir / "asterisk", "echo Asterisk 22.9.0")
    complete(bin_dir.parent)

    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refused)
    said = inspect(program)
    assert isinstance(said, str)
    assert said.startswith(f"{program} (22.9.0) cannot be looked into: ")


def test_without_apt_all_ways_out_are_named(
    tmp_path: Path,
    cache: Path,
    script: Callable[[Path, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = script(tmp_path / "alone/asterisk", "echo Asterisk 18.1.0")
    monkeypatch.setenv("PATH", str(program.parent))
    with pytest.raises(PackageError) as caught:
        find()
    said = caught.value.error_message
    assert f"{program} is 18.1.0" in said
    assert "no apt-get" in said
    for way_out in ("CALLBRIDGE_ARI_URL", "on the PATH", "docker/"):
        assert way_out in said
    assert [path.name for path in cache.iterdir()] == ["lock"]


@pytest.fixture
def on_path(bin_dir: Path, fetched: Installation, script: Callable[[Path, str], Path]) -> Path:
    """Debian's package as if it were installed below a prefix."""
    prefix = bin_dir.parent
    for link, target in (
        ("lib/asterisk/modules", fetched.modules),
        ("share/asterisk", fetched.data),
    ):
        (prefix / link).parent.mkdir(parents=True)
        (prefix / link).symlink_to(target)
    return script(bin_dir / "asterisk", f'exec {shlex.join(fetched.command)} "$@"')


def test_why_one_was_passed_over_is_told(
    bin_dir: Path, script: Callable[[Path, str], Path], fetched: Installation
) -> None:
    class Told(Silent):
        steps: ClassVar[list[str]] = []

        def step(self, text: str) -> None:
            self.steps.append(text)

    program = script(bin_dir / "asterisk", "echo Asterisk 18.1.0")
    told = Told()
    found = find(told)
    assert found.command == fetched.command
    assert len(found.passed_over) == 1
    assert found.passed_over[0].startswith(f"{program} is 18.1.0")
    assert told.steps == [f"Passed over: {found.passed_over[0]}"]


@pytest.mark.usefixtures("state")
def test_one_that_can_do_what_we_need_is_used(on_path: Path) -> None:
    found = find()
    assert found.command == (str(on_path),)
    assert found.modules == on_path.parent.parent / "lib/asterisk/modules"
    instance = Instance.start("path", tied=True)
    try:
        assert instance.info.version == found.version
        assert "WARNING" not in instance.log_tail()
        assert "ERROR" not in instance.log_tail()
    finally:
        instance.stop()


def test_a_start_that_fails_tells_why_and_keeps_the_log(
    state: Path, on_path: Path, script: Callable[[Path, str], Path]
) -> None:
    version = on_path.read_text().splitlines()[-1]
    script(on_path, f'case "$*" in *-f*) echo cannot map memory; exit 7;; esac\n{version}')
    with pytest.raises(InstanceError) as caught:
        Instance.start("broken", tied=True)
    said = caught.value.error_message
    assert "ended by itself with exit code 7" in said
    assert "cannot map memory" in said
    kept = list((state / "crashes").iterdir())
    assert len(kept) == 1
    assert str(kept[0]) in said
    assert not (state / "asterisk").exists()


@pytest.mark.usefixtures("state")
def test_a_port_taken_in_the_last_moment_means_other_ports(
    tmp_path: Path, on_path: Path, script: Callable[[Path, str], Path]
) -> None:
    real = on_path.read_text().splitlines()[-1]
    log = "$(dirname $(dirname $2))/log/messages.log"
    script(
        on_path,
        f'case "$*" in *-f*) if mkdir {tmp_path}/once 2>/dev/null; then\n'
        f'echo "ERROR[1] http.c: Address already in use" >{log}; exec sleep 60; fi;;'
        f"\nesac\n{real}",
    )
    instance = Instance.start("second", tied=True)
    try:
        assert (tmp_path / "once").is_dir()
        assert instance.is_running()
    finally:
        instance.stop()


def test_the_path_of_an_ordinary_user_leaves_sbin_out_but_we_look_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert _search_path().split(os.pathsep) == ["/usr/bin", "/usr/sbin", "/usr/local/sbin"]
