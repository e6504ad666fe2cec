"""The log of an Asterisk, followed to its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.lab.asterisk import Instance


class Dying:
    """Stands for an instance that dies as it is looked whether it runs: not without a word."""

    def __init__(self, path: Path) -> None:
        self.log_path = path

    def log_tail(self, lines: int) -> str:
        return "\n".join(self.log_path.read_text(encoding="utf-8").splitlines()[-lines:])

    def is_running(self) -> bool:
        with self.log_path.open("a", encoding="utf-8") as log:
            log.write("the last word\n")
        return False


def test_the_last_words_of_an_asterisk_that_dies_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "messages"
    path.write_text("one\ntwo\n", encoding="utf-8")
    monkeypatch.setattr(Instance, "find", lambda _name: Dying(path))
    said = CliRunner().invoke(app, ["asterisk", "logs", "-n", "1", "--follow"])
    assert (said.exit_code, said.stdout) == (0, "two\nthe last word\n")
