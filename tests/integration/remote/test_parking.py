"""Parking by URL: tests of the SDK in process."""

from __future__ import annotations

import pytest

from tests.integration.parking.test_parking import (
    test_all_slots_are_taken,
    test_an_empty_slot_and_one_whom_two_want,
    test_from_the_ai_to_a_slot_and_from_there_to_a_phone,
    test_he_hangs_up_as_he_is_fetched,
    test_he_stays_where_nobody_wants_him_back,
    test_the_ai_may_listen_on,
    test_what_cannot_be_parked,
    test_who_parks_leaves_and_is_rung_when_the_time_is_over,
    test_without_anybody_to_ring_the_ai_has_him_back,
)

__all__ = [
    "test_all_slots_are_taken",
    "test_an_empty_slot_and_one_whom_two_want",
    "test_from_the_ai_to_a_slot_and_from_there_to_a_phone",
    "test_he_hangs_up_as_he_is_fetched",
    "test_he_stays_where_nobody_wants_him_back",
    "test_the_ai_may_listen_on",
    "test_what_cannot_be_parked",
    "test_who_parks_leaves_and_is_rung_when_the_time_is_over",
    "test_without_anybody_to_ring_the_ai_has_him_back",
]

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]
