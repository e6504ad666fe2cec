"""Integration: a phone's process: refused, killed, orphaned; it leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from bridge.lab.phones import CallState, PhoneSettings, start_phone
from bridge.lab.waiting import until
from bridge.model.errors import PhoneError

from .conftest import is_alive

if TYPE_CHECKING:
    from bridge.lab.asterisk import Instance

    from .conftest import StartPhone

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

ORPHAN = """
import asyncio, sys
from bridge.lab.phones import PhoneSettings, start_phone
async def main():
    number, password, host, port = sys.argv[1:]
    settings = PhoneSettings(number=number, password=password, host=host, port=int(port))
    print((await start_phone(settings)).pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_a_wrong_password_is_reported_with_the_servers_answer(asterisk: Instance) -> None:
    sip = asterisk.info.sip
    settings = PhoneSettings(number="1001", password="wrong", host=sip.host, port=sip.port)
    with pytest.raises(PhoneError, match=r"SIP 40[13]"):
        await start_phone(settings)


async def test_a_server_that_is_not_there_is_named() -> None:
    settings = PhoneSettings(number="1001", password="p", host="127.0.0.1", port=9)
    with pytest.raises(PhoneError, match=r"no SIP server answers at 127\.0\.0\.1:9"):
        await start_phone(settings)


async def test_a_phone_that_shall_not_register_does_not(
    asterisk: Instance, phone: StartPhone
) -> None:
    sip, account = asterisk.info.sip, asterisk.info.accounts[1]
    stranger = await start_phone(
        PhoneSettings(
            number=account.number,
            password=account.password,
            host=sip.host,
            port=sip.port,
            register=False,
        )
    )
    try:
        caller = await phone(0)
        await caller.call(f"9{account.number}")
        with pytest.raises(PhoneError, match="ended before"):
            await caller.wait_state(CallState.CONFIRMED)
        assert stranger.calls == ()
    finally:
        await stranger.stop()


async def test_a_stopped_phone_has_signed_off(asterisk: Instance, phone: StartPhone) -> None:
    stopped = await phone(0)
    number = stopped.settings.number
    assert f"{number}/sip:" in await asyncio.to_thread(asterisk.command, "pjsip show contacts")
    await stopped.stop()
    contacts = await asyncio.to_thread(asterisk.command, "pjsip show contacts")
    assert f"{number}/sip:" not in contacts
    with pytest.raises(PhoneError, match="has ended"):
        await stopped.call("1002")


async def test_a_killed_phone_says_so_to_whoever_waits(phone: StartPhone) -> None:
    victim = await phone(0)
    waiting = asyncio.create_task(victim.wait_state(CallState.INCOMING, within_s=10))
    watching = asyncio.create_task(anext(victim.events(), None))
    await asyncio.sleep(0)
    await victim.kill()
    with pytest.raises(PhoneError, match="has ended"):
        await waiting
    assert await watching is None
    assert not is_alive(victim.pid)


async def test_a_phone_does_not_outlive_its_program(asterisk: Instance) -> None:
    sip, account = asterisk.info.sip, asterisk.info.accounts[2]
    arguments = (account.number, account.password, sip.host, str(sip.port))
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ORPHAN, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    try:
        worker = int(await asyncio.wait_for(program.stdout.readline(), 30))
        assert is_alive(worker)
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.send_signal(signal.SIGKILL)
        await program.wait()
    await until(lambda: not is_alive(worker), "the orphaned worker has ended", within_s=5)
