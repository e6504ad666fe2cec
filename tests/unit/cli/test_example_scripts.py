"""What the scripts of scripts/examples make of the answers of ``callbridge``, which is a fake."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "scripts/examples"
CALLS_OF_AN_AGENT = """\
case $1 in
    events) cat << 'END'
12:00:00.000 LIVE_CALL_BEGAN        c1 1001 ↔ 10021
12:00:00.100 LIVE_CALL_CHANGED      c2 1001 ↔ 1002 (ringing)
12:00:00.200 LIVE_CALL_BEGAN        c3 1001 ↔ 1003
12:00:00.300 CALL_CONNECTED         c3 1001 ↔ 1003 ↔ 1002 (muted)
12:00:00.400 LIVE_CALL_CHANGED      c3 1001 ↔ 1003 ↔ 1002
12:00:00.500 PARTY_JOINED           c4 1001 ↔ 1002@trunk  party=party3
12:00:00.600 LIVE_CALL_BEGAN        c5 1002 ↔ 1001
12:00:00.700 LIVE_CALL_ENDED        c5 1002 ↔ 1001
END
    ;;
    listen) echo "$2" ;;
esac
"""


def said_by(folder: Path, callbridge: str, *command: str) -> tuple[int, str]:
    """Run a script with a ``callbridge`` of a few lines; return its exit code and what it said."""
    fake = folder / "bin/callbridge"
    fake.parent.mkdir()
    fake.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{callbridge}", encoding="utf-8")
    fake.chmod(0o755)
    done = subprocess.run(
        [str(EXAMPLES / command[0]), *command[1:]],
        env={"PATH": f"{fake.parent}:{os.environ['PATH']}", "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stdout


def test_each_call_that_an_agent_is_on_or_comes_to_is_heard_once(tmp_path: Path) -> None:
    folder = str(tmp_path / "calls")
    _, said = said_by(tmp_path, CALLS_OF_AN_AGENT, "monitor-agent", "1002", folder)
    told = [line for line in said.splitlines() if line.startswith("call ")]
    assert told == ["call c3 of 1002", "call c4 of 1002", "call c5 of 1002"]


@pytest.mark.parametrize("code", [0, 1])
def test_a_good_night_leaves_nothing_behind(tmp_path: Path, code: int) -> None:
    before = {"bin"}
    assert said_by(tmp_path, f"echo why; exit {code}", "nightly")[0] == code
    left = {path.name for path in tmp_path.iterdir()} - before
    assert len(left) == code, "what was heard in a bad one"
