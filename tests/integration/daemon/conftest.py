"""Daemons and checks on real and fake Asterisks, each with folders of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import hold_port


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep state and run files out of the user's own folders; take no daemon of his for ours."""
    monkeypatch.setenv("CALLBRIDGE_RUN_DIR", str(tmp_path / "run"))
    for name in ("CALLBRIDGE_URL", "CALLBRIDGE_KEY", "CALLBRIDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody else is given, and at which nobody listens yet."""
    with hold_port() as held:
        yield int(held.getsockname()[1])
