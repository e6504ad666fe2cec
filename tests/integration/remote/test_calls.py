"""Calls of programs by URL: tests of the SDK in process."""

from __future__ import annotations

import pytest

from tests.integration.sdk.test_audio_of_commands import (
    test_a_stream_of_the_callee_outlives_a_callee_who_was_not_had,
    test_right_after_a_mode,
    test_right_after_answer,
    test_right_after_connect,
    test_while_the_callee_rings_and_after,
)
from tests.integration.sdk.test_hangups import (
    test_a_mode_after_the_end_of_an_unanswered_call,
    test_a_party_after_close,
    test_a_party_during_close,
    test_a_party_in_every_mode,
    test_a_party_while_a_whisper_is_queued,
    test_callee_just_as_he_answers,
    test_caller_just_as_the_callee_answers,
    test_caller_while_answered_with_audio_queued,
    test_caller_while_he_is_answered,
    test_caller_while_his_phone_rings,
    test_caller_while_the_callee_rings,
    test_everybody_at_once,
)
from tests.integration.sdk.test_life_of_a_call import (
    test_a_callee_who_is_not_registered_leaves_the_call_answered,
    test_answer_connect_modes_and_close,
    test_phones_are_told_who_calls_and_whom_they_dialled,
)
from tests.integration.sdk.test_wrong_state import (
    test_arguments_without_a_meaning,
    test_commands,
)

__all__ = [
    "test_a_callee_who_is_not_registered_leaves_the_call_answered",
    "test_a_mode_after_the_end_of_an_unanswered_call",
    "test_a_party_after_close",
    "test_a_party_during_close",
    "test_a_party_in_every_mode",
    "test_a_party_while_a_whisper_is_queued",
    "test_a_stream_of_the_callee_outlives_a_callee_who_was_not_had",
    "test_answer_connect_modes_and_close",
    "test_arguments_without_a_meaning",
    "test_callee_just_as_he_answers",
    "test_caller_just_as_the_callee_answers",
    "test_caller_while_answered_with_audio_queued",
    "test_caller_while_he_is_answered",
    "test_caller_while_his_phone_rings",
    "test_caller_while_the_callee_rings",
    "test_commands",
    "test_everybody_at_once",
    "test_phones_are_told_who_calls_and_whom_they_dialled",
    "test_right_after_a_mode",
    "test_right_after_answer",
    "test_right_after_connect",
    "test_while_the_callee_rings_and_after",
]

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]
