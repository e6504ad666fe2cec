"""Asterisk dies: whoever has to do with a call is told in time, and is served again by the next."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from bridge import CallState, EndReason, LiveCall, events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.waiting import until
from bridge.sdk.recording import Recording
from bridge.session.observer.effects import LeftReason
from bridge.session.transfer.effects import Outcome
from tests.integration.supervision.floor import opened, plain_call
from tests.support.pbx import CALLER_TONE, Pbx, Program, state_of

pytestmark = pytest.mark.asterisk

TOLD_WITHIN_S = 3.0
BACK_WITHIN_S = 2.0
"""After it listens again."""


async def dial(pbx: Pbx) -> DirectParty:
    ari = pbx.instance.info.ari
    return await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))


def watched(program: Program) -> list[str]:
    """Note what the client itself is told."""
    told: list[str] = []
    program.client.on(events.SERVER_LOST, lambda reason: told.append(f"lost: {bool(reason)}"))
    program.client.on(events.SERVER_BACK, lambda: told.append("back"))
    return told


async def test_a_program_without_a_call(own_pbx: Pbx) -> None:
    program = await own_pbx.program()
    told = watched(program)
    killed_at = time.monotonic()
    await asyncio.to_thread(own_pbx.instance.kill)
    await until(lambda: told == ["lost: True"], "it is told", within_s=TOLD_WITHIN_S)
    assert time.monotonic() - killed_at < TOLD_WITHIN_S
    await asyncio.to_thread(own_pbx.instance.restart)
    await until(lambda: told == ["lost: True", "back"], "it is back", within_s=BACK_WITHIN_S)
    await dial(own_pbx)
    call = await program.next_call()
    await call.answer()
    await call.disconnect()


async def test_observers_of_calls_of_others(own_pbx: Pbx) -> None:
    async with opened(own_pbx) as floor:
        ended: list[LiveCall] = []
        floor.client.on(events.LIVE_CALL_ENDED, ended.append)
        told = watched(floor.program)
        await plain_call(own_pbx)
        await until(lambda: len(floor.client._connected().directory.calls) == 1, "it is live")
        (live,) = await floor.client.live_calls()
        coach = await floor.client.observe(live.call_id, "coach")
        await asyncio.to_thread(own_pbx.instance.kill)
        async with asyncio.timeout(TOLD_WITHIN_S):
            assert await coach.wait_left() is LeftReason.SERVER_LOST
            await until(lambda: [call.call_id for call in ended] == [live.call_id], "it is over")
        assert told == ["lost: True"]
        assert floor.client._connected().directory.calls == ()


async def test_a_transfer_and_a_recording(own_pbx: Pbx, tmp_path: Path) -> None:
    program = await own_pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    await dial(own_pbx)
    call = await program.next_call()
    await call.answer()
    recording: Recording = await call.record(tmp_path)
    transfer = await call.transfer(CALLEE_ENDPOINT)
    await asyncio.to_thread(own_pbx.instance.kill)
    async with asyncio.timeout(TOLD_WITHIN_S):
        assert await call.wait_ended() is EndReason.SERVER_LOST
        assert await transfer.wait() is Outcome.CALL_OVER
        await recording.wait_ended()
    assert state_of(call) is CallState.DISCONNECTED
    facts = sidecar_in(tmp_path)
    assert facts["ended_at"] is not None
    assert facts["end_cause"] == "server_lost"


def sidecar_in(folder: Path) -> dict[str, object]:
    """Return what the one JSON file says."""
    (path,) = folder.glob("*.json")
    return dict(json.loads(path.read_text(encoding="utf-8")))
