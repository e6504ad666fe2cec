"""How a call may be recorded, and where its files are put."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.model.errors import BadArgumentError, ConfigurationError, NotFoundError
from bridge.sdk.recording import Recording, RecordingOptions


@pytest.mark.parametrize("minutes", [-1.0, 0.0, 5e-324, 0.004, 600.1, float("inf"), float("nan")])
def test_a_part_is_neither_endless_nor_nothing(minutes: float) -> None:
    with pytest.raises(BadArgumentError, match="max_minutes"):
        RecordingOptions(max_minutes=minutes)


@pytest.mark.parametrize("minutes", [0.005, 60.0, 600.0])
def test_a_part_may_be_short_or_long(minutes: float) -> None:
    assert RecordingOptions(max_minutes=minutes).plan("x").part_seconds == minutes * 60


class Written(Recording):
    """A recording of one file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def files(self) -> tuple[Path, ...]:
        """It."""
        return (self._file,)

    @property
    def coaching_files(self) -> tuple[Path, ...]:
        """None."""
        return ()


async def test_its_files_are_brought_where_they_are_wanted(tmp_path: Path) -> None:
    file = tmp_path / "one.wav"
    file.write_bytes(b"RIFF")
    recording = Written(file)
    assert await recording.fetch() == (file,)
    assert await recording.fetch(to=tmp_path) == (file,)
    [copy] = await recording.fetch("one.wav", to=tmp_path / "elsewhere")
    assert copy.read_bytes() == file.read_bytes() == b"RIFF"
    with pytest.raises(NotFoundError, match=r"one\.wav"):
        await recording.fetch("two.wav")
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        await recording.fetch(to=file)
