"""Measurements do not wait for threads of numpy."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support import ONE_THREAD

SCRIPT = """
import os, sys
import tests.conftest
assert "numpy" in sys.modules
print(len(os.listdir("/proc/self/task")))
"""


def test_numpy_has_no_threads_of_its_own() -> None:
    env = {key: value for key, value in os.environ.items() if key not in ONE_THREAD}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 1
