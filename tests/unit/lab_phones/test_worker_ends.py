"""Unit: the end of a phone's worker, whoever of asyncio and us is first to see it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

import pytest

from bridge.lab.phones import PhoneSettings
from bridge.lab.phones.softphone import Softphone
from bridge.lab.waiting import until


async def test_one_that_has_ended_by_itself_is_still_asyncios_to_wait_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    may_look, waitpid = threading.Event(), os.waitpid

    def late(pid: int, options: int) -> tuple[int, int]:
        may_look.wait(5)
        return waitpid(pid, options)

    monkeypatch.setattr(os, "waitpid", late)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    phone = Softphone(PhoneSettings(number="1001", password="x"))
    phone._process = process
    killing = asyncio.create_task(phone.kill())
    await asyncio.sleep(0)
    may_look.set()
    await killing
    assert process.returncode == 0
    assert "Unknown child" not in caplog.text


async def test_one_that_runs_is_killed() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
    phone = Softphone(PhoneSettings(number="1001", password="x"))
    phone._process = process
    await phone.kill()
    assert process.returncode == -signal.SIGKILL


async def test_one_that_answers_no_more_is_killed_when_its_stop_is_given_up() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(60)", stdin=asyncio.subprocess.PIPE
    )
    phone = Softphone(PhoneSettings(number="1001", password="x"))
    phone._process = process
    stopping = asyncio.create_task(phone.stop())
    await until(lambda: phone._waiting, "it was asked to stop")
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert process.returncode == -signal.SIGKILL


async def test_events_of_one_that_has_ended_are_over() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "", stdout=asyncio.subprocess.PIPE
    )
    phone = Softphone(PhoneSettings(number="1001", password="x"))
    await phone._read_messages(process)
    await process.wait()
    async with asyncio.timeout(5):
        assert [change async for change in phone.events()] == []
