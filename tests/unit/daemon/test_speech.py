"""What the daemon speaks by."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bridge.daemon.config import parse
from bridge.daemon.parts import speech_of

PROGRAM = f"""#!{sys.executable}
import struct, sys
assert sys.argv[sys.argv.index("-v") + 1] == "de", sys.argv
head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24000, 48000, 2, 16)
sys.stdout.buffer.write(b"RIFF" + struct.pack("<I", 1036) + head + b"data")
sys.stdout.buffer.write(struct.pack("<I", 1000) + bytes(1000))
"""


async def test_what_is_installed_speaks_with_the_configured_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "espeak-ng").write_text(PROGRAM)
    (tmp_path / "espeak-ng").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    speech = speech_of(parse('[speech]\nvoice = "de"', "a.toml", {}))
    assert speech is not None
    assert await speech.spoken("Guten Tag") == bytes(1000)


def test_without_any_command_nothing_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert speech_of(parse("", "a.toml", {})) is None
