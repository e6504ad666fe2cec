"""What the scripts of scripts/examples make of the answers of ``callbridge``, which is a fake."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "scripts/examples"
MANY_CALLS = """\
case $1 in
    events) echo "12:00:00.000 LIVE_CALL_BEGAN c1 1001 - 1002" ;;
    calls) echo "c1  0:01  connected"; seq --format "c2-%g  0:01  connected" 20000 ;;
    listen) echo "$2" ;;
esac
"""


def said_by(folder: Path, callbridge: str, *command: str) -> tuple[int, str]:
    """Run a script with a ``callbridge`` of a few lines; return its exit code and what it said."""
    fake = folder / "bin/callbridge"
    fake.parent.mkdir()
    fake.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{callbridge}", encoding="utf-8")
    fake.chmod(0o755)
    done = subprocess.run(  # noqa: S603 - our own script
        [str(EXAMPLES / command[0]), *command[1:]],
        env={"PATH": f"{fake.parent}:{os.environ['PATH']}", "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_call_is_found_among_more_than_a_pipe_holds(tmp_path: Path) -> None:
    _, said = said_by(tmp_path, MANY_CALLS, "monitor-agent", "1002", str(tmp_path / "calls"))
    assert "call c1 of 1002" in said


@pytest.mark.parametrize("code", [0, 1])
def test_a_good_night_leaves_nothing_behind(tmp_path: Path, code: int) -> None:
    before = {"bin"}
    assert said_by(tmp_path, f"echo why; exit {code}", "nightly")[0] == code
    left = {path.name for path in tmp_path.iterdir()} - before
    assert len(left) == code, "what was heard in a bad one"
