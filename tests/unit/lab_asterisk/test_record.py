"""What is kept of instances on disk, and what others do to it meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.lab.asterisk import Instance, keeper, launch, record
from bridge.lab.asterisk.config import make_info
from bridge.lab.asterisk.instance import _ports_of_others, stop
from bridge.lab.asterisk.ports import Ports
from bridge.lab.asterisk.process import ProcessId, boot_id
from bridge.lab.asterisk.record import Record, Shelf, instances_root, locked, names


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "state"
    monkeypatch.setenv("CALLBRIDGE_STATE_DIR", str(root))
    return root


def kept(
    name: str, asterisk: ProcessId, *, owner: ProcessId | None = None, base: int = 12000
) -> Shelf:
    """As an instance is kept; its keeper is the same process as its Asterisk."""
    shelf, ports = Shelf(name), Ports(base)
    shelf.save(
        Record(
            name=name,
            info=make_info("22.10.1", ports, "p", ()),
            ports=ports,
            command=(),
            isolated=False,
            owner=owner,
            boot=boot_id(),
            ready=True,
        )
    )
    process = f"[{asterisk.pid},{asterisk.started}]"
    (shelf.folder / "process.json").write_text(f'{{"keeper":{process},"asterisk":{process}}}')
    return shelf


def own() -> ProcessId:
    found = ProcessId.of(os.getpid())
    assert found
    return found


def test_one_that_is_stopped_just_when_it_is_found_keeps_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf = kept("gone", own())
    seen: list[ProcessId | None] = []

    def stopped_after_the_first_look(*_: object) -> ProcessId | None:
        seen.append(None if seen else own())
        return seen[-1]

    monkeypatch.setattr(Shelf, "asterisk", stopped_after_the_first_look)
    found = Instance.find("gone")
    assert found is not None
    assert found.pid == os.getpid()
    shelf.remove()


def test_what_is_no_instance_is_not_listed(state: Path) -> None:
    shelf = kept("lab", own())
    for name in ("a b", ".lab-77"):
        (instances_root() / name).mkdir()
    assert names() == ["lab"]
    assert [each.name for each in Instance.all()] == ["lab"]
    shelf.remove()
    assert state.exists()


def test_a_list_of_instances_of_which_the_last_has_just_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda _: True)
    assert names() == []


def test_the_log_of_the_last_crash_is_kept_however_long_its_instance_has_lived(
    state: Path,
) -> None:
    for name in ("a", "b", "c", "d", "e"):
        (state / "crashes" / name).mkdir(parents=True)
    shelf = Shelf("old")
    shelf.log.mkdir(parents=True)
    (shelf.log / "messages.log").touch()
    os.utime(shelf.log, (0, 0))
    found = shelf.keep_logs()
    assert found is not None
    assert found.is_dir()
    assert len(list((state / "crashes").iterdir())) == 5


def test_a_lock_whose_folder_is_removed_while_it_is_taken(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def removed_first(path: Path, flags: int) -> int:
        monkeypatch.setattr(os, "open", opened)
        path.rmdir()
        return opened(path, flags)

    monkeypatch.setattr(os, "open", removed_first)
    with locked():
        assert instances_root().is_dir()
    assert not state.exists()


def test_a_place_where_nothing_can_be_kept_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "instances_root", lambda: Path("/proc/callbridge"))
    with pytest.raises(FileNotFoundError, match="/proc/callbridge"), locked():
        pytest.fail("locked")


def test_the_state_of_an_orphan_is_gone_at_once(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = kept("orphan", own())
    removed: list[str] = []

    def removing(folder: Path, *, ignore_errors: bool) -> None:
        assert ignore_errors
        removed.append(folder.name)
        assert folder == shelf.run or not shelf.folder.exists()

    monkeypatch.setattr(shutil, "rmtree", removing)
    keeper._remove(shelf.folder, [shelf.run, shelf.folder])
    assert removed == [shelf.run.name, f".orphan-{os.getpid()}"]
    assert names() == []
    assert stop("orphan") is False
    assert (state / "asterisk").is_dir()


def test_ports_of_the_dead_are_left_to_those_that_may_be_restarted() -> None:
    dead = ProcessId(os.getpid(), own().started - 1, boot_id())
    kept("nobodys", dead, base=12000)
    kept("ours", dead, owner=own(), base=13000)
    kept("orphan", dead, owner=dead, base=14000)
    assert sorted(ports.base for ports in _ports_of_others("new")) == [12000, 13000]
    assert [ports.base for ports in _ports_of_others("nobodys")] == [13000]


@pytest.mark.parametrize(("late", "orphaned"), [(0, False), (1, True)])
def test_an_asterisk_that_ends_by_itself_just_as_its_owner_has(
    late: int, *, orphaned: bool
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
        assert keeper._wait(child, [os.getpid(), own().started - late]) is orphaned
        assert keeper._wait(child, None) is False


def test_a_keeper_that_another_thread_has_waited_for(tmp_path: Path) -> None:
    class Ended:
        def poll(self) -> int:
            launch._keepers.pop(tmp_path, None)
            return 0

    launch._keepers[tmp_path] = Ended()  # type: ignore[assignment]  # only poll is asked
    launch.reap()
    assert tmp_path not in launch._keepers
