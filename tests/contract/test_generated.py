"""The committed resources are what the generator makes of the running server's description."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bridge.lab.asterisk import Instance

ROOT = Path(__file__).parents[2]


@pytest.mark.asterisk
def test_generated_resources_are_fresh(asterisk: Instance) -> None:
    made_from = (ROOT / "bridge/ari/generated/models.py").read_text().split("Asterisk ")[1]
    version = made_from.partition(";")[0]
    if asterisk.info.version != version:
        pytest.skip(f"generated from {version}, running is {asterisk.info.version}")
    ari = asterisk.info.ari
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/generate_ari.py"), ari.url, "--check"],
        env={
            **os.environ,
            "CALLBRIDGE_ARI_USERNAME": ari.username,
            "CALLBRIDGE_ARI_PASSWORD": ari.password,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
