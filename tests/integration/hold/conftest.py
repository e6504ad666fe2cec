"""An Asterisk whose music can be told apart by its tone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.hold.music import write_music
from tests.support.shared import SharedAsterisk


@pytest.fixture(scope="session")
def shared_asterisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedAsterisk]:
    shared = SharedAsterisk("music", music=write_music(tmp_path_factory.mktemp("music")))
    yield shared
    shared.discard()
