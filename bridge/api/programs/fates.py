"""What befalls calls that no program has, or whose program is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine

from bridge.model.errors import CallbridgeError
from bridge.model.states import CallState
from bridge.sdk import ActiveCall

_log = logging.getLogger(__name__)


async def tried(
    call: ActiveCall, work: Callable[[ActiveCall], Coroutine[None, None, object]]
) -> None:
    """Do something to a call; what fails is logged."""
    try:
        await work(call)
    except CallbridgeError as error:
        _log.warning("call %s: %s", call.call_id, error)


async def silence(call: ActiveCall) -> None:
    """Let nobody hear the agent."""
    call.clear_send_audio_buffer()
    if call.state is CallState.CONNECTED:
        await call.spy(cut=True)


async def leave(call: ActiveCall) -> None:
    """Let the agent leave; a caller who is alone is hung up."""
    await call.close(cut=True)


async def turn_away(call: ActiveCall) -> None:
    """Hang up on who has waited, unless somebody else has taken him meanwhile."""
    if call.state is CallState.PENDING:
        await call.disconnect(cut=True)


async def hang_up(call: ActiveCall) -> None:
    """End the call for all."""
    await call.disconnect(cut=True)


async def connect(
    call: ActiveCall, may_ring: Callable[[ActiveCall], Coroutine[None, None, bool]]
) -> None:
    """Ring whom the caller dialled, and leave the two alone; hang up when he is not had.

    may_ring: says whether he may be rung at all.
    """
    if call.state is not CallState.PENDING:
        return
    try:
        if not await may_ring(call):
            await turn_away(call)
            return
        await call.connect()
        await call.close(cut=True)
    except CallbridgeError:
        await call.disconnect(cut=True)
        raise
