"""Keys, announcements and messages by URL: tests of the SDK in process."""

from __future__ import annotations

import pytest

from tests.integration.dtmf.test_digits import (
    test_the_caller_hangs_up,
    test_up_to_as_many_as_wanted_and_the_rest_is_for_the_next,
    test_up_to_the_terminator,
    test_what_cannot_be_collected,
)
from tests.integration.dtmf.test_feature_keys import (
    test_an_attended_transfer_with_a_word_to_each,
    test_by_default_keys_are_keys,
    test_who_changes_his_mind_has_the_caller_back,
)
from tests.integration.recording.test_voicemail import (
    test_a_folder_that_cannot_be_written_to,
    test_a_key_skips_the_greeting_and_ends_the_message,
    test_a_message_ends_with_hanging_up,
    test_a_message_ends_with_silence,
    test_a_message_is_not_longer_than_it_may_be,
    test_of_who_says_nothing_nothing_is_left,
    test_who_hangs_up_during_the_greeting_leaves_nothing,
    test_who_talks_with_somebody_leaves_no_message,
)

__all__ = [
    "test_a_folder_that_cannot_be_written_to",
    "test_a_key_skips_the_greeting_and_ends_the_message",
    "test_a_message_ends_with_hanging_up",
    "test_a_message_ends_with_silence",
    "test_a_message_is_not_longer_than_it_may_be",
    "test_an_attended_transfer_with_a_word_to_each",
    "test_by_default_keys_are_keys",
    "test_of_who_says_nothing_nothing_is_left",
    "test_the_caller_hangs_up",
    "test_up_to_as_many_as_wanted_and_the_rest_is_for_the_next",
    "test_up_to_the_terminator",
    "test_what_cannot_be_collected",
    "test_who_changes_his_mind_has_the_caller_back",
    "test_who_hangs_up_during_the_greeting_leaves_nothing",
    "test_who_talks_with_somebody_leaves_no_message",
]

pytestmark = [pytest.mark.asterisk, pytest.mark.phones, pytest.mark.quiet]
