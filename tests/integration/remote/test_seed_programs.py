"""The two published use cases by URL, run as they are written."""

from __future__ import annotations

import pytest

from tests.audio.test_seed_programs import (
    test_escalation_to_a_human,
    test_monitoring_and_coaching,
    test_the_ai_handles_the_call_alone,
)

__all__ = [
    "test_escalation_to_a_human",
    "test_monitoring_and_coaching",
    "test_the_ai_handles_the_call_alone",
]

pytestmark = [pytest.mark.asterisk, pytest.mark.phones, pytest.mark.quiet]
