"""What a program by URL says goes over a socket, which may break, or be displaced."""

from __future__ import annotations

import pytest

from bridge import ActiveCall, errors
from bridge.api.audio import Place
from bridge.api.sockets.audio import AudioSession
from bridge.lab.ears import DirectParty
from bridge.lab.waiting import until
from tests.support.pbx import CALLER_TONE, until_true
from tests.support.remote import RemotePbx
from tests.support.sockets import audio_path, far_end

pytestmark = pytest.mark.asterisk

SPOKEN = bytes(3200)
"""Silence, but said."""


async def answered(pbx: RemotePbx) -> tuple[ActiveCall, Place]:
    """Return a call of a program by URL, and what the daemon knows of its agent's audio."""
    program = await pbx.program()
    await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
    call = await program.next_call()
    await call.answer()
    positions = (await pbx.daemon()).service.audio_positions
    return call, positions.place(positions.find(call.call_id, "ai"))


async def test_who_is_displaced_as_a_speaker_does_not_displace_in_turn(pbx: RemotePbx) -> None:
    call, place = await answered(pbx)
    await call.send_audio(SPOKEN)
    await until(lambda: place.received == len(SPOKEN), "it has come")
    path = audio_path(call.call_id)
    async with far_end(await pbx.daemon(), path, query={"as": "ai", "hear": "0"}) as other:
        await other.ready()
        before = place.holder
        await other.ws.send_bytes(SPOKEN)
        await until(lambda: place.holder not in {None, before}, "the other one speaks")
        holder = place.holder

        async def knows() -> bool:
            try:
                await call.send_audio(SPOKEN)
            except errors.InvalidStateError:
                return True
            return False

        await until_true(knows, "the first one knows")
        for _ in range(3):
            with pytest.raises(errors.InvalidStateError, match="another program speaks for ai"):
                await call.send_audio(SPOKEN)
        assert place.holder is holder
    await call.disconnect()


async def test_a_buffer_that_was_full_when_the_socket_broke_is_empty_again(pbx: RemotePbx) -> None:
    await pbx.daemon(send_buffer_seconds=0.5)
    call, place = await answered(pbx)
    full = bytes(call.sample_rate)
    await call.send_audio(full)
    with pytest.raises(errors.BufferFullError):
        await call.send_audio(full)
    await until(lambda: call.get_send_audio_buffer_size() < len(full), "the daemon has told of it")
    assert isinstance(place.holder, AudioSession)
    place.holder._link.transport.abort()
    await until(lambda: not call.get_send_audio_buffer_size(), "all is played", within_s=5.0)
    await call.send_audio(full)
    await call.disconnect()
