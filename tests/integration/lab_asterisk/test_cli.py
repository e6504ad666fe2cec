"""given the command line, when a person or a program uses it, then ..."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from bridge.lab.asterisk import AriInfo, Instance
from bridge.lab.asterisk.external import probe
from bridge.lab.asterisk.process import run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.asterisk


def callbridge(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bridge.cli.main", *arguments]
    return run(command, timeout=60, env=os.environ | variables)


def test_up_status_down(state: Path) -> None:
    first = callbridge("asterisk", "up")
    assert first.returncode == 0, first.stderr
    second = callbridge("asterisk", "up")
    assert (second.returncode, second.stdout) == (0, first.stdout)

    status = callbridge("asterisk", "status", "--json")
    assert status.returncode == 0
    answer = json.loads(status.stdout)
    assert answer.keys() == {"version", "ari", "sip", "accounts"}
    assert answer["ari"].keys() == {"url", "username", "password"}
    assert answer["sip"].keys() == {"host", "port", "transport"}
    assert answer["sip"]["host"] == "127.0.0.1"
    assert answer["sip"]["transport"] == "udp"
    assert [a["number"] for a in answer["accounts"]] == [str(n) for n in range(1001, 1011)]
    assert all(account.keys() == {"number", "password"} for account in answer["accounts"])
    assert probe(AriInfo(**answer["ari"])).startswith(answer["version"])

    listed = callbridge("asterisk", "list")
    assert listed.stdout.startswith("default\t")
    logs = callbridge("asterisk", "logs", "--lines", "1")
    assert logs.returncode == 0
    assert len(logs.stdout.strip().splitlines()) == 1

    down = callbridge("asterisk", "down")
    assert (down.returncode, down.stdout) == (0, "instance default is down\n")
    assert not state.exists()
    again = callbridge("asterisk", "down")
    assert (again.returncode, again.stdout) == (0, "no instance default was up\n")
    assert not state.exists()


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("command", ["status", "logs"])
def test_when_nothing_runs_it_says_what_to_do(command: str) -> None:
    answer = callbridge("asterisk", command, "--name", "none")
    assert answer.returncode == 3
    assert answer.stdout == ""
    assert "callbridge asterisk up --name none" in answer.stderr


def test_status_of_one_that_died_tells_how(instance: Instance) -> None:
    instance.kill()
    answer = callbridge("asterisk", "status", "--name", "test")
    assert answer.returncode == 3
    assert "died of SIGKILL" in answer.stderr


def test_an_asterisk_named_by_the_user_is_used_and_none_started(
    instance: Instance, tmp_path: Path
) -> None:
    ari = instance.info.ari
    elsewhere = tmp_path / "elsewhere"
    answer = callbridge(
        "asterisk",
        "up",
        CALLBRIDGE_ARI_URL=ari.url,
        CALLBRIDGE_ARI_USERNAME=ari.username,
        CALLBRIDGE_ARI_PASSWORD=ari.password,
        CALLBRIDGE_STATE_DIR=str(elsewhere),
    )
    assert answer.returncode == 0, answer.stderr
    assert "Nothing was started" in answer.stdout
    assert ari.url in answer.stdout
    assert not elsewhere.exists()


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"CALLBRIDGE_ARI_URL": "http://127.0.0.1:1/ari"}, 2, "BAD_CONFIGURATION"),
        ({"CALLBRIDGE_ARI_URL": "nonsense"}, 2, "BAD_CONFIGURATION"),
        (
            {
                "CALLBRIDGE_ARI_URL": "http://127.0.0.1:1/ari",
                "CALLBRIDGE_ARI_USERNAME": "u",
                "CALLBRIDGE_ARI_PASSWORD": "p",
            },
            5,
            "SERVER_UNREACHABLE",
        ),
    ],
)
def test_a_wrong_address_is_one_message_and_no_traceback(
    variables: dict[str, str], code: int, said: str
) -> None:
    answer = callbridge("asterisk", "up", **variables)
    assert answer.returncode == code
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_version_is_printed() -> None:
    assert callbridge("--version").stdout.startswith("callbridge ")
