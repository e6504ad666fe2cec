"""What is said over an audio socket waits, with a bound, and is dropped when it is to be."""

from __future__ import annotations

import asyncio

import pytest

from bridge.api.sockets.common import CutOffError, LeftError
from bridge.api.sockets.inbox import Inbox
from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError
from bridge.protocol.frames import ClearAudio, ClientMessage, Subscribe


class Client:
    """Has said some things, and then leaves, or says nothing."""

    def __init__(self, *said: ClientMessage | bytes, leaves: bool = False) -> None:
        self.said = list(said)
        self._leaves = leaves

    async def receive(self) -> ClientMessage | bytes:
        if self.said:
            return self.said.pop(0)
        if not self._leaves:
            await asyncio.Event().wait()
        raise LeftError


async def all_of(inbox: Inbox) -> bytes:
    """Take audio until the client has left."""
    taken = b""
    try:
        while True:
            await inbox.wait()
            piece = inbox.first(4)
            inbox.took(len(piece))
            taken += piece
    except LeftError:
        return taken


async def test_what_was_said_by_who_has_left_can_still_be_taken() -> None:
    async with Inbox(Client(b"123456", b"", b"78", leaves=True)) as inbox:
        assert await all_of(inbox) == b"12345678"


async def test_behind_its_bound_nothing_is_read_until_some_was_taken() -> None:
    client = Client(*[b"12"] * 10, leaves=True)
    async with Inbox(client, most=6) as inbox:
        await until(lambda: len(client.said) == 7, "as much as may wait was read")
        await inbox.wait()
        assert len(client.said) == 7
        inbox.took(2)
        await until(lambda: len(client.said) == 6, "there is room for one more")
        assert await all_of(inbox) == b"12" * 9


async def test_what_waits_is_dropped_and_counted() -> None:
    client = Client(b"1234", ClearAudio(), b"56", ClearAudio(), b"78", leaves=True)
    async with Inbox(client) as inbox:
        await until(lambda: not client.said, "all was read")
        await inbox.wait()
        assert (inbox.take_clear(), inbox.take_clear()) == (6, None)
        assert await all_of(inbox) == b"78"


async def test_one_that_drops_nothing_is_told_too() -> None:
    async with Inbox(Client(ClearAudio())) as inbox:
        await inbox.wait()
        assert inbox.take_clear() == 0


@pytest.mark.parametrize(("bad", "error"), [(b"odd", BadArgumentError), (Subscribe(), CutOffError)])
async def test_what_is_no_audio_is_told_at_once(
    bad: bytes | ClientMessage, error: type[Exception]
) -> None:
    client = Client(b"1234", bad, b"5678")
    async with Inbox(client) as inbox:
        await until(lambda: len(client.said) == 1, "it was read")
        with pytest.raises(error):
            await inbox.wait()
        with pytest.raises(error):
            inbox.check()
