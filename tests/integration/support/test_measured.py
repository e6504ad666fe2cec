"""A measurement that is done again begins with an empty Asterisk, whatever the first one left."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from bridge.model.ids import CallId
from bridge.runtime.names import Names
from bridge.topology.objects import CALL_BRIDGE
from tests.audio.machine import measured, whole
from tests.support.pbx import Pbx
from tests.support.remote import RemotePbx

pytestmark = pytest.mark.asterisk


@pytest.mark.filterwarnings("ignore:programs waited")
async def test_what_an_attempt_that_broke_off_has_left_is_cleared_away(pbx: Pbx) -> None:
    left = Names("callbridge").fresh(CallId("0123456789ab"), CALL_BRIDGE)
    stood: list[list[str]] = []

    async def measurement(pbx: Pbx) -> None:
        stood.append(await pbx.bridges())
        if stood == [[]]:
            # A program that leaves as its call ends leaves its bridge to the next.
            await pbx._observer.bridges.create_with_id(bridge_id=left, type="mixing")
        whole(len(stood) > 1, "a frame")

    await measured(pbx, measurement)
    assert stood == [[], []]


async def test_an_attempt_of_programs_by_url_is_one_of_programs_by_url(pbx: Pbx) -> None:
    kinds: list[type[Pbx]] = []

    async def measurement(pbx: Pbx) -> None:
        kinds.append(type(pbx))

    async with AsyncExitStack() as stack:
        await measured(RemotePbx(pbx.instance, pbx._observer, stack), measurement)
    assert kinds == [RemotePbx]
