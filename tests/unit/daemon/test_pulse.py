from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.daemon import pulse
from bridge.daemon.pulse import Pulse
from bridge.lab.waiting import until


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.005)
    monkeypatch.setattr(pulse, "LATE_SECONDS", 0.1)
    monkeypatch.setattr(pulse, "STUCK_SECONDS", 0.1)


@asynccontextmanager
async def beating(lags: list[float]) -> AsyncIterator[Pulse]:
    one = Pulse(lags.append)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_loop_that_hangs_is_told_while_it_does_and_where(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lags: list[float] = []
    async with beating(lags) as one:
        await until(lambda: len(lags) > 2, "it beats")
        told: list[str] = []

        def hang_for_a_while() -> None:
            end = time.monotonic() + 2.0
            while not told and time.monotonic() < end:
                time.sleep(0.01)
                told.extend(r.getMessage() for r in caplog.records if "hangs" in r.message)

        with caplog.at_level(logging.WARNING):
            hang_for_a_while()
            assert told, "it was told while it hung"
            assert "hang_for_a_while" in told[0]
            await until(lambda: any("ms late" in r.message for r in caplog.records), "it was late")
        assert one.worst > 0.1


async def test_systemd_hears_that_the_loop_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        heard: list[bytes] = []

        def listen() -> bool:
            with contextlib.suppress(BlockingIOError):
                heard.append(systemd.recv(100))
            return len(heard) >= 2

        async with beating([]):
            await until(listen, "systemd heard twice")
        assert set(heard) == {b"WATCHDOG=1"}
