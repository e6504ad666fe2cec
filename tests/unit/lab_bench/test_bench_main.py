from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from bridge.lab.bench.__main__ import main


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    # Without a frame, which breaks lines wherever the path has them end.
    app = typer.Typer(rich_markup_mode=None)
    app.command()(main)
    said = CliRunner().invoke(app, ["--json", str(tmp_path / "none" / "figures.json")])
    assert said.exit_code == 2
    assert "there is no folder" in said.output
