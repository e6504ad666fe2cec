"""given an embedded Asterisk, when it is started, stopped, killed or restarted, then ..."""

from __future__ import annotations

import http.client
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridge.lab.asterisk import AriInfo, Instance
from bridge.lab.asterisk.external import probe
from bridge.lab.asterisk.folders import run_dir
from bridge.lab.asterisk.ports import ALL_BLOCKS, Ports, claim
from bridge.lab.asterisk.process import ProcessId, wait_until
from bridge.model.errors import AuthenticationError, InstanceError, ServerUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.asterisk

OWNER = """
import sys
from bridge.lab.asterisk import Instance
print(Instance.start("tied", tied=True).pid, flush=True)
sys.stdin.read()
"""


def ports_of(instance: Instance) -> Ports:
    return next(block for block in ALL_BLOCKS if block.sip == instance.info.sip.port)


def is_free(ports: Ports) -> bool:
    holder = claim(ports)
    if holder:
        holder.close()
    return holder is not None


def lines_with(log: str, *levels: str) -> list[str]:
    return [line for line in log.splitlines() if any(f"{level}[" in line for level in levels)]


class TestRunning:
    """One instance for all: nothing here changes it."""

    @pytest.fixture(scope="class")
    @staticmethod
    def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CALLBRIDGE_STATE_DIR", str(tmp_path_factory.mktemp("state") / "s"))
            started = Instance.start("shared", tied=True)
            yield started
            started.stop()

    def test_ari_answers_and_says_the_same_version(self, instance: Instance) -> None:
        assert probe(instance.info.ari).startswith(instance.info.version)

    def test_ari_refuses_another_password(self, instance: Instance) -> None:
        wrong = AriInfo(instance.info.ari.url, instance.info.ari.username, "guessed")
        with pytest.raises(AuthenticationError):
            probe(wrong)

    def test_nothing_but_ari_and_media_is_served_over_http(self, instance: Instance) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", ports_of(instance).http, timeout=5)
        for path in ("/", "/static/", "/httpstatus", "/mxml", "/rawman"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert (path, answer.status) == (path, 404)
        connection.close()

    def test_its_log_holds_neither_warning_nor_error(self, instance: Instance) -> None:
        log = instance.log_path.read_text()
        assert "modules will be loaded" in log
        assert lines_with(log, "WARNING", "ERROR") == []
        assert (instance.log_path.parent / "console.log").read_text() == ""

    def test_it_listens_on_loopback_alone(self, instance: Instance) -> None:
        net = Path(f"/proc/{instance.pid}/net")
        own = {str(path.readlink()) for path in Path(f"/proc/{instance.pid}/fd").iterdir()}
        rows = [
            line.split()
            for name in ("tcp", "tcp6")
            for line in (net / name).read_text().splitlines()[1:]
        ]
        # Column 4 is the state, 0A is LISTEN; column 10 the inode, proc(5).
        addresses = [row[1] for row in rows if f"socket:[{row[9]}]" in own and row[3] == "0A"]
        assert addresses == [f"0100007F:{ports_of(instance).http:04X}"]

    def test_every_account_is_an_endpoint(self, instance: Instance) -> None:
        shown = instance.command("pjsip show endpoints")
        assert "Objects found: 10" in shown
        assert [a for a in instance.info.accounts if f"  {a.number}/{a.number}" not in shown] == []

    def test_phones_may_speak_lossless_audio_first(self, instance: Instance) -> None:
        shown = instance.command("pjsip show endpoint 1001")
        assert "(slin16|slin|g722|ulaw|alaw)" in shown

    def test_prompts_are_there_in_english(self, instance: Instance) -> None:
        assert "Language en:" in instance.command("core show sound hello-world")

    def test_music_on_hold_is_there(self, instance: Instance) -> None:
        shown = instance.command("moh show files")
        assert "Class: default" in shown
        assert shown.count("File: ") > 1

    def test_its_secrets_are_for_the_user_alone(self, instance: Instance) -> None:
        files = [path for path in instance.state_dir.rglob("*.conf") if path.is_file()]
        files += [instance.state_dir / "instance.json", instance.state_dir / "order.json"]
        assert len(files) > 10
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        folders = [instance.state_dir, *(p for p in instance.state_dir.iterdir() if p.is_dir())]
        assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}

    def test_it_is_found_by_name(self, instance: Instance) -> None:
        found = Instance.find("shared")
        assert found is not None
        assert (found.pid, found.info) == (instance.pid, instance.info)
        assert [each.name for each in Instance.all()] == ["shared"]
        assert Instance.find("another") is None

    def test_a_second_start_of_the_name_is_refused(self, instance: Instance) -> None:
        with pytest.raises(InstanceError, match=r"runs already .*--name shared"):
            Instance.start("shared")
        assert instance.is_running()

    def test_ensure_finds_it(self, instance: Instance) -> None:
        assert Instance.ensure("shared").pid == instance.pid

    def test_it_has_no_crash_to_report(self, instance: Instance) -> None:
        assert Instance.crash_report(instance.name) is None


def test_stopping_leaves_nothing(state: Path) -> None:
    instance = Instance.start("gone", tied=True)
    asterisk, ports, run = (
        ProcessId.of(instance.pid),
        ports_of(instance),
        run_dir(instance.state_dir),
    )
    assert asterisk
    assert not is_free(ports)
    assert run.exists()
    instance.stop()
    assert not asterisk.is_alive()
    assert not instance.is_running()
    assert not state.exists()
    assert not run.exists()
    assert is_free(ports)
    with pytest.raises(ServerUnreachableError):
        probe(instance.info.ari)


def test_stopping_twice_is_stopping_once(state: Path) -> None:
    instance = Instance.start("twice", tied=True)
    instance.stop()
    instance.stop()
    assert not state.exists()


def test_two_run_side_by_side(instance: Instance) -> None:
    other = Instance.start("other", tied=True)
    try:
        assert ports_of(instance) != ports_of(other)
        assert instance.info.ari.password != other.info.ari.password
        for one in (instance, other):
            assert probe(one.info.ari).startswith(one.info.version)
        ari = instance.info.ari
        crossed = AriInfo(other.info.ari.url, ari.username, ari.password)
        with pytest.raises(AuthenticationError):
            probe(crossed)
        assert [each.name for each in Instance.all()] == ["other", "test"]
    finally:
        other.stop()
    assert instance.is_running()
    assert [each.name for each in Instance.all()] == ["test"]


@pytest.mark.usefixtures("state")
def test_starts_at_the_same_time_make_one() -> None:
    found: list[Instance] = []
    threads = [
        threading.Thread(target=lambda: found.append(Instance.ensure("race", tied=True)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(found) == 3
        assert len({one.pid for one in found}) == 1
    finally:
        found[0].stop()


def test_restart_keeps_ports_and_secrets(instance: Instance) -> None:
    info, pid = instance.info, instance.pid
    instance.restart()
    assert instance.info == info
    assert instance.pid != pid
    assert probe(info.ari).startswith(info.version)
    assert lines_with(instance.log_tail(), "WARNING", "ERROR") == []


def test_it_comes_back_after_it_was_killed(instance: Instance) -> None:
    info = instance.info
    instance.kill()
    assert not instance.is_running()
    assert Instance.find("test") is None
    with pytest.raises(ServerUnreachableError):
        probe(info.ari)
    instance.restart()
    assert instance.info == info
    assert probe(info.ari).startswith(info.version)


def test_a_restart_after_stop_is_refused(state: Path) -> None:
    instance = Instance.start("over", tied=True)
    instance.stop()
    with pytest.raises(InstanceError, match="has been stopped"):
        instance.restart()
    assert not state.exists()


@pytest.mark.usefixtures("state")
def test_a_crash_is_reported_with_its_signal_and_the_lines_that_matter() -> None:
    instance = Instance.start("crash", tied=True)
    # What a real fault would have logged before it.
    with instance.log_path.open("a") as log:
        log.write("[t] NOTICE[1] x.c: of no interest\n[t] ERROR[1] x.c: of interest\n")
    os.kill(instance.pid, signal.SIGSEGV)
    assert wait_until(lambda: not instance.is_running(), 5)
    report = Instance.crash_report("crash") or ""
    assert "instance crash died of SIGSEGV after" in report
    assert "of interest" in report
    assert "of no interest" not in report
    assert str(instance.log_path.parent) in report
    instance.stop()


def test_the_logs_of_a_crash_are_kept(state: Path) -> None:
    instance = Instance.start("crash", tied=True)
    instance.kill()
    again = Instance.start("crash", tied=True)
    assert again.info != instance.info
    again.stop()
    kept = list((state / "crashes").iterdir())
    assert len(kept) == 1
    assert "modules will be loaded" in (kept[0] / "messages.log").read_text()
    assert not (state / "asterisk").exists()


@pytest.mark.usefixtures("state")
def test_a_state_from_before_a_reboot_is_known_for_what_it_is() -> None:
    instance = Instance.start("old", tied=True)
    record = instance.state_dir / "instance.json"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    instance.kill()
    # As if our own process had been given the number of an Asterisk of another boot.
    text = record.read_text().replace(boot, "00000000-0000-0000-0000-000000000000")
    record.write_text(text)
    (instance.state_dir / "exit.json").unlink()
    assert Instance.find("old") is None
    assert "nobody saw" in (Instance.crash_report("old") or "")
    again = Instance.start("old", tied=True)
    assert again.is_running()
    again.stop()


@pytest.mark.usefixtures("state")
def test_asterisk_ends_with_its_keeper() -> None:
    instance = Instance.start("kept", tied=True)
    asterisk = ProcessId.of(instance.pid)
    parent = Path(f"/proc/{instance.pid}/stat").read_text().rpartition(")")[2].split()[1]
    os.kill(int(parent), signal.SIGKILL)
    assert asterisk
    assert wait_until(lambda: not asterisk.is_alive(), 5)
    instance.stop()


def test_a_tied_instance_ends_with_the_program_that_started_it(state: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout
        asterisk = ProcessId.of(int(owner.stdout.readline()))
        assert asterisk
        assert asterisk.is_alive()
        owner.kill()
    assert wait_until(lambda: not asterisk.is_alive(), 10)
    assert wait_until(lambda: not (state / "asterisk/tied").exists(), 5)


@pytest.mark.usefixtures("state")
def test_a_tied_instance_whose_program_is_dead_is_in_nobodys_way() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout
        asterisk = int(owner.stdout.readline())
        # Slow to end: its keeper waits for it.
        os.kill(asterisk, signal.SIGSTOP)
        owner.kill()
    assert Instance.find("tied") is None
    again = Instance.ensure("tied", tied=True)
    try:
        assert again.pid != asterisk
        assert ProcessId.of(asterisk) is None
        assert probe(again.info.ari).startswith(again.info.version)
    finally:
        again.stop()


def test_commands_to_one_that_is_gone_fail_with_a_typed_error(instance: Instance) -> None:
    instance.kill()
    with pytest.raises(InstanceError, match="does not answer on its console"):
        instance.command("core show version")
