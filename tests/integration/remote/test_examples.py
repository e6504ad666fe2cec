"""An example by URL, as it is written."""

from __future__ import annotations

import pytest

from tests.integration.sdk.test_examples import (
    test_the_callee_alone_hears_the_whisper_and_the_two_talk_on,
)

__all__ = [
    "test_the_callee_alone_hears_the_whisper_and_the_two_talk_on",
]

pytestmark = [pytest.mark.asterisk, pytest.mark.phones, pytest.mark.quiet]
