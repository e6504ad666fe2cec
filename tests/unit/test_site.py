"""The site of the documentation is built, and every link on it leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[2]


def test_the_site_is_built_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True)
    build(config)
    start = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Call control for Asterisk" in start
    diagram = (tmp_path / "call-states.html").read_text(encoding="utf-8")
    assert '<pre class="mermaid"><code>stateDiagram-v2' in diagram
    reference = (tmp_path / "reference/sdk.html").read_text(encoding="utf-8")
    assert "End the call for all, after the last word that was sent" in reference
