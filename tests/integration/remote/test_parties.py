"""More parties than two, takeovers, and who is called, by URL: tests of the SDK in process."""

from __future__ import annotations

import pytest

from tests.integration.sdk.test_conference import (
    test_a_conference_is_ended_for_all,
    test_each_speaker_arrives_apart,
    test_every_party_can_be_muted_and_held,
    test_everyone_hears_everyone_but_who_is_muted_or_held,
    test_names,
    test_not_before_the_caller_is_answered_and_not_after_the_end,
    test_one_who_cannot_be_had_changes_nothing,
    test_removed_before_he_answers,
    test_the_agent_leaves_a_conference,
    test_two_go_on_when_one_of_three_hangs_up,
    test_who_joins_hears_the_agent_if_his_mode_says_so,
    test_whoever_is_being_added_is_let_go_with_the_agent,
    test_without_a_callee,
)
from tests.integration.sdk.test_originate import (
    test_he_and_the_agent_talk_at_once,
    test_somebody_else_is_rung_for_him,
    test_who_stops_waiting_hangs_up,
)
from tests.integration.sdk.test_takeover import (
    test_the_agent_is_let_go,
    test_the_agent_listens_and_gets_the_call_back,
    test_the_callee_is_let_go,
    test_the_callee_listens_and_gets_the_call_back,
    test_the_caller_is_never_without_anybody,
    test_the_caller_stays_when_the_replaced_callee_hangs_up,
    test_who_was_replaced_is_heard_when_the_other_just_goes,
)

__all__ = [
    "test_a_conference_is_ended_for_all",
    "test_each_speaker_arrives_apart",
    "test_every_party_can_be_muted_and_held",
    "test_everyone_hears_everyone_but_who_is_muted_or_held",
    "test_he_and_the_agent_talk_at_once",
    "test_names",
    "test_not_before_the_caller_is_answered_and_not_after_the_end",
    "test_one_who_cannot_be_had_changes_nothing",
    "test_removed_before_he_answers",
    "test_somebody_else_is_rung_for_him",
    "test_the_agent_is_let_go",
    "test_the_agent_leaves_a_conference",
    "test_the_agent_listens_and_gets_the_call_back",
    "test_the_callee_is_let_go",
    "test_the_callee_listens_and_gets_the_call_back",
    "test_the_caller_is_never_without_anybody",
    "test_the_caller_stays_when_the_replaced_callee_hangs_up",
    "test_two_go_on_when_one_of_three_hangs_up",
    "test_who_joins_hears_the_agent_if_his_mode_says_so",
    "test_who_stops_waiting_hangs_up",
    "test_who_was_replaced_is_heard_when_the_other_just_goes",
    "test_whoever_is_being_added_is_let_go_with_the_agent",
    "test_without_a_callee",
]

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]
