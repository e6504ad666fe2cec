"""Daemons and checks on real and fake Asterisks, each with folders of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep state and run files out of the user's own folders; take no daemon of his for ours."""
    monkeypatch.setenv("CALLBRIDGE_RUN_DIR", str(tmp_path / "run"))
    for name in ("CALLBRIDGE_URL", "CALLBRIDGE_KEY", "CALLBRIDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path
