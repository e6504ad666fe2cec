"""What holds for every test of the SDK: nothing is swallowed by the event loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_error_of_the_event_loop(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No exception was never retrieved, no callback raised, no task was destroyed."""
    yield
    records = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.records]
    loud = [r for r in records if r.name == "asyncio" and r.levelno >= logging.ERROR]
    assert not loud, [record.getMessage() for record in loud]
