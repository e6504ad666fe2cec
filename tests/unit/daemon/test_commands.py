"""``callbridge check`` and ``callbridge serve`` as they are typed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.daemon.config import Configuration, parse
from bridge.daemon.unit import unit


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of an Asterisk that is not there."""
    monkeypatch.setenv("CALLBRIDGE_RUN_DIR", str(tmp_path / "run"))
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
    path = tmp_path / "callbridge.toml"
    path.write_text(
        f'[asterisk]\nurl = "http://127.0.0.1:{port}"\nusername = "a"\npassword = "b"\n'
        f'[server]\nport = 0\nstate_folder = "{tmp_path}/state"\n'
    )
    return path


def test_what_does_not_work_is_told_with_what_to_change(config: Path) -> None:
    done = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert done.exit_code == 2
    lines = done.output.splitlines()
    assert lines[0].startswith("fail ari: ")
    assert lines[1].startswith("     -> start Asterisk")
    assert any(line.startswith("ok   store: ") for line in lines)


def test_for_programs_it_is_one_object(config: Path) -> None:
    done = CliRunner().invoke(app, ["check", "--json", "--config", str(config)])
    assert done.exit_code == 2
    report = json.loads(done.stdout)
    assert report["verdict"] == "fail"
    first = report["findings"][0]
    assert (first["part"], first["verdict"]) == ("ari", "fail")
    assert set(first) == {"part", "verdict", "said", "change"}
    assert not list((config.parent).glob("state*")), "a check makes nothing"


def test_a_port_that_is_in_use_is_worth_another_try(config: Path) -> None:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen()
        text = config.read_text().replace("port = 0", f"port = {there.getsockname()[1]}")
        config.write_text(text)
        done = CliRunner().invoke(app, ["serve", "--config", str(config)])
    assert done.exit_code == 1
    assert "cannot be listened at: Address already in use;" in done.stderr
    assert "change server.host or server.port" in done.stderr


def test_the_example_and_the_unit_are_printed() -> None:
    example = CliRunner().invoke(app, ["serve", "--example-config"])
    assert example.exit_code == 0
    assert parse(example.stdout, "x.toml", {}) == Configuration()
    printed = CliRunner().invoke(app, ["serve", "--print-unit"])
    assert (printed.exit_code, printed.stdout) == (0, unit())
