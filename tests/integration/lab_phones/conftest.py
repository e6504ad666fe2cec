"""A real Asterisk and real phones; every phone that a test starts is gone after it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from bridge.lab.asterisk import Instance
from bridge.lab.phones import PhoneSettings, Silence, Softphone, Source, start_phone
from bridge.lab.phones.settings import Behaviour, Codec


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def eventually(look: Callable[[], Awaitable[bool]], within_s: float = 5.0) -> None:
    """Ask a phone again and again until it says yes; TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await look():  # noqa: ASYNC110 - the answer comes from another process
            await asyncio.sleep(0.02)


class StartPhone(Protocol):
    """Starts a phone on the n-th account of the instance, and stops it after the test."""

    async def __call__(
        self,
        account: int,
        *,
        source: Source = ...,
        codec: Codec = ...,
        answer: Behaviour = ...,
        answer_after_ms: int = ...,
        silence_suppression: bool = ...,
        record: Path | None = ...,
    ) -> Softphone:
        """Give a phone that is registered."""


@pytest.fixture(scope="session")
def asterisk() -> Iterator[Instance]:
    instance = Instance.start(name=f"phones-{os.getpid()}", tied=True)
    yield instance
    instance.stop()


@pytest.fixture
async def phone(asterisk: Instance) -> AsyncIterator[StartPhone]:
    started: list[Softphone] = []
    sip, accounts = asterisk.info.sip, asterisk.info.accounts

    async def start(
        account: int,
        *,
        source: Source = Silence(),  # noqa: B008 - it is frozen
        codec: Codec = Codec.G722,
        answer: Behaviour = Behaviour.ANSWER,
        answer_after_ms: int = 0,
        silence_suppression: bool = False,
        record: Path | None = None,
    ) -> Softphone:
        settings = PhoneSettings(
            number=accounts[account].number,
            password=accounts[account].password,
            host=sip.host,
            port=sip.port,
            codec=codec,
            answer=answer,
            answer_after_ms=answer_after_ms,
            source=source,
            silence_suppression=silence_suppression,
            record=record,
        )
        started.append(await start_phone(settings))
        return started[-1]

    yield start
    await asyncio.gather(*(each.stop() for each in started))
    assert [each.pid for each in started if is_alive(each.pid)] == []
