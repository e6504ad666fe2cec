"""Transfers by URL: tests of the SDK in process."""

from __future__ import annotations

import pytest

from tests.integration.transfer.test_by_callee import (
    test_a_blind_transfer,
    test_a_consult_and_the_handover,
    test_completed_while_it_rings,
    test_nobody_is_had,
    test_the_callee_hangs_up_and_nobody_is_had,
    test_the_callee_hangs_up_in_the_consult,
    test_the_callee_hangs_up_while_it_rings,
)
from tests.integration.transfer.test_warm import (
    test_a_brief_a_key_and_the_handover,
    test_a_brief_that_asterisk_does_not_have_is_beeps,
    test_a_conference_for_good,
    test_a_second_transfer_is_refused,
    test_blind,
    test_both_hear_each_other_at_once_when_the_key_was_pressed,
    test_cancelled_as_the_human_hears_the_brief,
    test_the_ai_listens_on,
    test_the_ai_talks_with_the_human_first,
    test_the_caller_talks_with_the_ai_until_somebody_accepts,
    test_the_caller_transfers_the_callee,
    test_the_first_of_a_group_has_it,
)

__all__ = [
    "test_a_blind_transfer",
    "test_a_brief_a_key_and_the_handover",
    "test_a_brief_that_asterisk_does_not_have_is_beeps",
    "test_a_conference_for_good",
    "test_a_consult_and_the_handover",
    "test_a_second_transfer_is_refused",
    "test_blind",
    "test_both_hear_each_other_at_once_when_the_key_was_pressed",
    "test_cancelled_as_the_human_hears_the_brief",
    "test_completed_while_it_rings",
    "test_nobody_is_had",
    "test_the_ai_listens_on",
    "test_the_ai_talks_with_the_human_first",
    "test_the_callee_hangs_up_and_nobody_is_had",
    "test_the_callee_hangs_up_in_the_consult",
    "test_the_callee_hangs_up_while_it_rings",
    "test_the_caller_talks_with_the_ai_until_somebody_accepts",
    "test_the_caller_transfers_the_callee",
    "test_the_first_of_a_group_has_it",
]

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]
