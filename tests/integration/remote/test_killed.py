"""A program by URL is killed in the middle of a call, or ends: the tests of programs in process."""

from __future__ import annotations

import pytest

from tests.integration.restart.test_handed_over import (
    test_the_next_program_goes_on,
)
from tests.integration.restart.test_killed import (
    test_parties_who_talk,
    test_who_is_held_hears_his_music_on,
    test_who_is_muted_stays_muted_until_he_is_to_be_heard,
)
from tests.integration.sdk.test_program_ends import test_ctrl_c_is_an_end_in_order

__all__ = [
    "test_ctrl_c_is_an_end_in_order",
    "test_parties_who_talk",
    "test_the_next_program_goes_on",
    "test_who_is_held_hears_his_music_on",
    "test_who_is_muted_stays_muted_until_he_is_to_be_heard",
]

pytestmark = [pytest.mark.asterisk, pytest.mark.phones, pytest.mark.quiet]


@pytest.fixture(autouse=True)
def reached_by_url(request: pytest.FixtureRequest) -> None:
    """Leave out the state that no command of a program brings a call to, but the runtime alone."""
    of_test = getattr(request.node, "callspec", None)
    if of_test is not None and of_test.params.get("state") == "apart":
        pytest.skip("no command keeps a party apart")
