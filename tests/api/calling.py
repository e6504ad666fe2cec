"""Calls that come in on the fake Asterisk."""

from __future__ import annotations

from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.sdk import ActiveCall
from tests.support.daemon import RunningApi


async def called(api: RunningApi, fake: FakeAri, number: str = "1002") -> ActiveCall:
    """Let somebody call; return the call when the directory knows it, too."""
    before = api.client.calls
    fake.incoming_call(number=number)
    await until(lambda: len(api.client.calls) > len(before), "the call is there")
    (call,) = set(api.client.calls) - set(before)
    await until(lambda: bool(api.client.live_call(call.call_id)), "it is a live call")
    return call
