"""What is for people at a terminal: completion, colours, the live view; and for their pipes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from bridge.lab.fake_ari import FakeAri
from bridge.lab.phones import CallState, Phone
from bridge.lab.waiting import until
from tests.integration.daemon.running import configured, running
from tests.support.commands import Shell
from tests.support.pbx import Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_HOME = "\x1b[H"


class Terminal:
    """A terminal of 160 x 40, what is on it, and all that was drawn on it."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.drawn = ""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def read(self) -> None:
        self.drawn += os.read(self._master, 65536).decode(errors="replace")

    @property
    def words(self) -> str:
        """What is on it now, without colours: each picture begins in the first corner."""
        return _ESCAPES.sub("", self.drawn.rpartition(_HOME)[2])

    async def shows(self, words: str, *, within_s: float = 20.0) -> None:
        """Wait for words. Raises AssertionError that shows what is there instead."""
        try:
            await until(lambda: words in self.words, words, within_s=within_s)
        except TimeoutError:
            raise AssertionError(f"no {words!r} on the screen:\n{self.words}") from None


@contextmanager
def terminal() -> Iterator[tuple[Terminal, int]]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    one = Terminal(master)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, one.read)
    try:
        yield one, slave
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


async def test_top_shows_the_calls_and_its_keys_observe_them(
    pbx: Pbx, shell: Shell, talking: tuple[Phone, Phone]
) -> None:
    caller, callee = talking
    boss = await pbx.phone("1003")
    with terminal() as (screen, tty):
        before = termios.tcgetattr(tty)
        async with shell.started("top", "--phone", "1003", tty=tty) as process:
            await screen.shows("1001, 1002")
            screen.press("s")
            await screen.shows("on 1003 (spy)")
            await boss.wait_state(CallState.CONFIRMED)
            screen.press("w")
            await screen.shows("(whisper callee)")
            screen.press("x")
            await boss.wait_state(CallState.DISCONNECTED)
            await caller.hangup()
            await screen.shows("0 calls")
            await screen.shows("LIVE_CALL_ENDED")
            screen.press("q")
            async with asyncio.timeout(20):
                assert await process.wait() == 0
        assert termios.tcgetattr(tty) == before, "the terminal is as it was"
    assert "\x1b[?1049l" in screen.drawn, "the screen of before is back"
    await callee.wait_state(CallState.DISCONNECTED)


async def test_top_ends_with_its_terminal(shell: Shell, talking: tuple[Phone, Phone]) -> None:
    del talking
    async with AsyncExitStack() as stack:
        with terminal() as (screen, tty):
            process = await stack.enter_async_context(shell.started("top", tty=tty))
            await screen.shows("1001, 1002")
        async with asyncio.timeout(20):
            await process.wait()


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
async def test_a_terminal_has_colours_unless_they_are_not_wanted(
    shell: Shell, talking: tuple[Phone, Phone], *, no_color: str, coloured: bool
) -> None:
    del talking
    with terminal() as (screen, tty):
        async with shell.started("endpoints", tty=tty, NO_COLOR=no_color) as process:
            async with asyncio.timeout(20):
                assert await process.wait() == 0
        await screen.shows("PJSIP/1010")
        # Bold is no colour.
        assert bool(re.search(r"\x1b\[([0-9;]*;)?3[0-7]m", screen.drawn)) is coloured


async def test_what_is_in_a_pipe_is_whole(shell: Shell, talking: tuple[Phone, Phone]) -> None:
    del talking
    said = await shell.done("channels")
    head, *rows = said.splitlines()
    assert head.split() == ["channel", "state", "number", "lasts", "call", "id"]
    assert len(rows) == 2
    assert all(len(row.split()) == 6 for row in rows), "nothing is cut off or wrapped"
    for command in (["top"], ["top", "--json"]):
        refused = await shell(*command)
        assert refused.code == 2
        assert refused.out == ""


async def test_calls_parties_and_phones_are_completed(
    shell: Shell, talking: tuple[Phone, Phone]
) -> None:
    del talking

    async def listed() -> bool:
        return bool(await shell.json("calls"))

    await until_true(listed, "the call is listed")
    [call] = await shell.json("calls")

    assert await shell.completed("show", "") == [call["call_id"], "latest"]
    assert await shell.completed("show", "la") == ["latest"]
    assert await shell.completed("mute", "1001", "c") == ["caller", "callee"]
    assert "1003" in await shell.completed("originate", "100")
    assert await Shell.nowhere().completed("show", "") == [], "no daemon, no noise"


async def test_a_daemon_of_ones_own_is_found_without_being_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBRIDGE_RUN_DIR", str(tmp_path / "run"))
    for name in ("CALLBRIDGE_URL", "CALLBRIDGE_KEY"):
        monkeypatch.delenv(name, raising=False)
    shell = Shell.nowhere()
    assert (await shell("calls")).code == 5
    async with FakeAri() as fake, running(configured(fake, tmp_path)) as one:
        await one.ready()
        assert "yes" in await shell.done("health")
        assert await shell.json("calls") == []
        [key] = await shell.json("keys", "create", "wallboard", "--role", "observer")
        assert (await shell("originate", "1001", "--key", key["secret"])).code == 4
    assert (await shell("calls")).code == 5


async def test_the_description_of_the_api_needs_no_daemon() -> None:
    said = await Shell.nowhere().done("openapi")
    assert said.startswith('{\n  "openapi": "3.1')
