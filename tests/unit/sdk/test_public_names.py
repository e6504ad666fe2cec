"""``import bridge`` is cheap, and has every name of a program at hand."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bridge
from bridge import public


def test_every_name_is_there() -> None:
    names = {name: getattr(public, name) for name in public.__all__}
    imported: dict[str, object] = {}
    exec("from bridge import *", imported)  # noqa: S102 - what a program may write
    assert {name: imported[name] for name in names} == names
    assert dir(bridge) == public.__all__ == sorted(public.__all__)


def test_what_is_not_there_is_said_so() -> None:
    with pytest.raises(AttributeError, match="module 'bridge' has no attribute 'Bell'"):
        _ = bridge.__getattr__("Bell")
    with pytest.raises(ImportError, match="cannot import name 'Bell' from 'bridge'"):
        exec("from bridge import Bell", {})  # noqa: S102 - what a program may write


@pytest.mark.parametrize("module", ["bridge", "bridge.lab.phones.worker.engine"])
def test_who_needs_a_part_does_not_load_the_rest(module: str) -> None:
    script = f"import sys, {module}; print('aiohttp' in sys.modules, 'bridge.sdk' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
