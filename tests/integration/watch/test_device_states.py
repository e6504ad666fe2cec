"""A watch leaves device states alone: see Watch._leave_device_states."""

from __future__ import annotations

import pytest

from tests.integration.watch.conftest import Watched

pytestmark = pytest.mark.asterisk


async def test_a_watch_is_not_subscribed_to_device_states(watched: Watched) -> None:
    ari = watched.watch._ari
    application = await ari.applications.get(application_name=ari.settings.application)
    assert application.device_names == ()
    assert application.channel_ids != ()
    assert application.bridge_ids != ()
